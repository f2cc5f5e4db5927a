"""``training.reproduce``: the choice of images, the runs, and the report."""

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import painter
import pytest

from training import networks, reproduce
from training.datasets.manifest import REQUIRED_COLUMNS, ManifestError, Row
from training.fit.recipes import PAPER
from training.paper import experiment, published, report
from training.paper.images import SOURCES, choose, count_leaked
from training.paper.plan import RUNS, Run


def rows(melanomas: int, benign: int) -> list[Row]:
    """Rows of both sources, each a group of its own; a sixth of each class is in the test split."""
    made = []
    for source in SOURCES:
        for diagnosis, count in (("melanoma", melanomas), ("nevus", benign)):
            for number in range(count):
                name = f"{source}-{diagnosis}-{number}"
                split = ("train", "train", "train", "train", "val", "test")[number % 6]
                malignant = int(diagnosis == "melanoma")
                made.append(Row(f"{name}.jpg", source, diagnosis, malignant, name, split))
    return made


def test_each_melanoma_is_paired_with_a_benign_image_of_its_source() -> None:
    chosen = choose(rows(melanomas=12, benign=120), images=None, seed=0)
    counts = Counter((row.source, row.malignant) for row in chosen.balanced)
    assert counts == {(source, malignant): 10 for source in SOURCES for malignant in (0, 1)}
    assert len({row.path for row in chosen.balanced}) == 40


def test_a_fifth_of_each_class_is_used_for_validation() -> None:
    chosen = choose(rows(melanomas=12, benign=120), images=None, seed=0)
    counts = Counter((row.malignant, row.split) for row in chosen.balanced)
    assert counts == {(0, "train"): 16, (0, "val"): 4, (1, "train"): 16, (1, "val"): 4}


def test_the_imbalanced_set_has_the_same_size_and_12_benign_images_per_melanoma() -> None:
    chosen = choose(rows(melanomas=120, benign=1200), images=260, seed=0)
    assert len(chosen.imbalanced) == len(chosen.balanced) == 260
    assert sum(row.malignant for row in chosen.imbalanced) == 20


def test_held_out_images_share_no_lesion_with_training_images() -> None:
    chosen = choose(rows(melanomas=12, benign=120), images=None, seed=0)
    trained = {row.group for row in chosen.balanced + chosen.imbalanced}
    assert {row.group for row in chosen.held_out}.isdisjoint(trained)
    assert Counter(row.malignant for row in chosen.held_out) == {0: 40, 1: 4}
    # The paper's kind of test includes the training images.
    assert trained < {row.group for row in chosen.everything}


def test_other_sources_and_other_cancers_are_not_used() -> None:
    others = [
        Row("ham.jpg", "ham10000", "melanoma", 1, "ham", "train"),
        Row("bcc.jpg", "isic2019", "bcc", 1, "bcc", "train"),
    ]
    chosen = choose(rows(melanomas=12, benign=120) + others, images=None, seed=0)
    used = chosen.balanced + chosen.imbalanced + chosen.held_out + chosen.everything
    assert not {"ham.jpg", "bcc.jpg"} & {row.path for row in used}


def test_validation_images_of_lesions_in_training_are_counted() -> None:
    train = Row("a.jpg", "isic2019", "nevus", 0, "one", "train")
    twin = Row("b.jpg", "isic2019", "nevus", 0, "one", "val")
    other = Row("c.jpg", "isic2019", "nevus", 0, "two", "val")
    assert count_leaked([train, twin, other]) == 1


@pytest.mark.parametrize(("melanomas", "benign"), [(0, 50), (50, 0)])
def test_too_few_images_are_reported(melanomas: int, benign: int) -> None:
    with pytest.raises(ManifestError, match="expected enough melanomas"):
        choose(rows(melanomas, benign), images=None, seed=0)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """72 painted lesions under the sources' names, a third of them melanomas."""
    folder = tmp_path_factory.mktemp("painted")
    listed = []
    for index, row in enumerate(rows(melanomas=12, benign=24)):
        colour = painter.DARK if row.malignant else painter.PALE
        (folder / row.path).write_bytes(painter.encoded(painter.lesion(index, colour, 128)))
        listed.append([getattr(row, column) for column in REQUIRED_COLUMNS])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([REQUIRED_COLUMNS, *listed])
    return folder / "manifest.csv"


@pytest.fixture
def two_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the runs by two: the paper's smallest network, and a second stage of it."""
    first = Run("cnn_v2", "cnn_v1", rules=True)
    second = Run("stage_3", "cnn_v1", rules=True, starts_from="cnn_v2")
    monkeypatch.setattr(experiment, "RUNS", (first, second))


def command(manifest: Path, folder: Path, *more: str) -> list[str]:
    options = ["--manifest", str(manifest), "--out", str(folder / "runs")]
    options += ["--report", str(folder / "report.md"), "--epochs", "3", "--images", "16"]
    return [*options, "--compare", *more]


@pytest.mark.usefixtures("two_runs")
def test_a_stopped_experiment_is_continued(
    manifest: Path,
    tmp_path: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as first_run_only:
        first_run_only.setattr(experiment, "RUNS", experiment.RUNS[:1])
        assert reproduce.main(command(manifest, tmp_path)) == 0
    first = (tmp_path / "runs" / "cnn_v2.json").stat().st_mtime_ns
    other_model = {"name": "an older model", "sha256": "0" * 64}
    (tmp_path / "runs" / f"served-{tiny_model.stem}.json").write_text(json.dumps(other_model))
    assert reproduce.main(command(manifest, tmp_path, str(tiny_model))) == 0
    assert "[1/2] cnn_v2: already done" in capsys.readouterr().out
    assert (tmp_path / "runs" / "cnn_v2.json").stat().st_mtime_ns == first
    result = json.loads((tmp_path / "runs" / "stage_3.json").read_text())
    assert result["history"][0]["learning_rate"] == pytest.approx(PAPER.rates["sgd"])
    assert result["held_out"]["figures"]["n"] == 12
    assert result["everything"]["n"] == 16
    text = (tmp_path / "report.md").read_text()
    assert "**This was a shortened run: 3 of the paper's 180 epochs and 16 of 40 images." in text
    assert "Not finished" not in text
    assert "| the paper's final network, with both rules |" in " ".join(text.split())
    # Its card does not say which images were set aside.
    assert "| tiny (may have learned from these images) |" in " ".join(text.split())
    assert (tmp_path / "report.png").stat().st_size > 10_000


def test_a_run_ends_when_the_command_is_killed() -> None:
    child = "import threading; print('started', flush=True); threading.Event().wait()"
    call = f"from training.paper import experiment; experiment._in_child_process(exec, {child!r})"
    with subprocess.Popen(
        [sys.executable, "-c", f"if __name__ == '__main__': {call}"],
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "started\n"
        command.kill()
        # The pipe is closed once the child, which inherited it, has ended too.
        assert command.communicate(timeout=60)[0] == ""


@pytest.mark.usefixtures("two_runs")
def test_runs_of_another_experiment_are_not_mixed_in(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "experiment.json").write_text('{"epochs": 180}')
    assert reproduce.main(command(manifest, tmp_path)) == 2
    message = capsys.readouterr().err
    assert "another experiment (epochs: 180 there, 3 here)" in message


def report_without_results(tmp_path: Path) -> str:
    """The report of an experiment without results."""
    chosen = choose(rows(melanomas=12, benign=120), images=None, seed=0)
    described = experiment._describe(reproduce.parse(["--epochs", "180"]), chosen)
    names = [run.name for run in RUNS]
    report.write_report(described, {}, [], names, tmp_path / "report.md")
    return (tmp_path / "report.md").read_text()


def test_the_report_lists_unfinished_runs_and_calls_only_a_shortened_experiment_short(
    tmp_path: Path,
) -> None:
    text = report_without_results(tmp_path)
    assert "**Not finished; these runs are missing: cnn_v2, stage_2, stage_3, adam, " in text
    assert "shortened" not in text


def test_the_tables_of_the_report_have_the_papers_figures(tmp_path: Path) -> None:
    text = " ".join(report_without_results(tmp_path).split())
    assert "| version 2.0 | 14,714,753 | 14,714,753 | 0 |" in text
    assert "| malignant | 441 / 584 = 0.7037672 | - | - | - | - |" in text
    assert "| the paper | 180 | 0.001 to 6.1e-09 | around 84 % | 88.96 % | 83.04 % | - |" in text


@pytest.mark.parametrize("name", published.LAYERS)
def test_our_networks_have_the_layers_in_the_papers_tables(name: str) -> None:
    assert report.layers_of(networks.build(name)) == list(published.LAYERS[name])
