"""Facts that two files state are the same in both."""

import json
import re
import tomllib

import pytest
import yaml
from serving import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
README = (ROOT / "README.md").read_text()
FIGURES = json.loads((ROOT / "models" / "melanoma_evaluation" / "figures.json").read_text())


def test_the_changelog_starts_with_the_current_version() -> None:
    newest = re.search(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == VERSION


def test_the_citation_names_the_current_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == VERSION


@pytest.mark.parametrize("kind", ["clinical", "dermoscopic"])
def test_the_readme_quotes_the_figures_of_the_model_card(kind: str) -> None:
    figures, melanomas = FIGURES["test"][kind], FIGURES["melanomas"][kind]
    shares = (figures["sensitivity"], figures["specificity"], melanomas["found"])
    auc, low, high = figures["auc"]
    row = [
        f"{figures['n']:,} ({figures['malignant']})",
        f"{auc:.3f} ({low:.3f}-{high:.3f})",
        *(f"{100 * a:.1f} % ({100 * b:.1f}-{100 * c:.1f})" for a, b, c in shares),
    ]
    row[-1] += f" of {melanomas['n']}"
    assert " | ".join(row) in README


def test_the_readme_quotes_the_figures_of_the_second_model() -> None:
    folder = ROOT / "models" / "efficientnet_lite0" / "efficientnet_lite0_evaluation"
    test = json.loads((folder / "figures.json").read_text())["test"]
    dermoscopic, clinical = (test[kind]["auc"][0] for kind in ("dermoscopic", "clinical"))
    sentence = f"Its AUC is {dermoscopic:.3f} on dermoscopy and {clinical:.3f} on close-ups"
    assert sentence in " ".join(README.split())


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("the paper's final network, with both rules", "has an AUC of"),
        ("the paper's final network, without", "all 180 epochs bring it to"),
        ("cnn7", "where cnn7 has"),
    ],
)
def test_the_readme_quotes_the_reproduction_of_the_paper(network: str, words: str) -> None:
    report = (ROOT / "docs" / "reproduction.md").read_text()
    found = re.search(rf"^\| {re.escape(network)} +\| ([\d.]+ \([\d.-]+\)) ", report, re.MULTILINE)
    assert found is not None
    assert f"{words} {found[1]}" in README


def test_no_link_between_documents_is_broken() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "models/README.md"]:
        targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
        missing = [target for target in targets if not (document.parent / target).exists()]
        assert not missing, f"{document.name}: {missing}"


def test_every_test_that_a_document_names_exists() -> None:
    for document in (ROOT / "docs").glob("*.md"):
        for file, test in re.findall(r"`(test_\w+\.py)::(test_\w+)`", document.read_text()):
            texts = [path.read_text() for path in (ROOT / "tests").rglob(file)]
            assert any(f"def {test}(" in text for text in texts), f"{document.name}: {file}::{test}"
