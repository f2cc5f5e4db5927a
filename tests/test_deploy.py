"""What deploy/ and docs/operations.md say about the app is so."""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from app import metrics, settings

ROOT = Path(__file__).resolve().parent.parent
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
SETTERS = ["Dockerfile", "deploy/compose.yaml", "deploy/molelens.service", "docs/operations.md"]


def test_every_metric_that_operations_watch_exists():
    exposed = {sample.name for metric in REGISTRY.collect() for sample in metric.samples}
    # A metric with labels has no sample until it is used.
    exposed |= set(re.findall(r'"(molelens_\w+)"', Path(metrics.__file__).read_text()))
    named = set(re.findall(r"molelens_\w+", OPERATIONS))
    assert named
    assert {re.sub(r"_(total|bucket)$", "", name) for name in named} <= exposed


@pytest.mark.parametrize("name", SETTERS)
def test_every_setting_that_deploy_sets_is_known(name):
    # Apache's Defines are no settings of the app.
    text = re.sub(r"(Define |\$\{)MOLELENS_\w+", "", (ROOT / name).read_text())
    found = set(re.findall(r"MOLELENS_[A-Z_0-9]+", text))
    assert found
    assert found <= set(re.findall(r"MOLELENS_[A-Z_0-9]+", settings.table()))


def test_dockerignore_lets_in_what_the_dockerfile_copies():
    let_in = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for dockerfile in ("Dockerfile", "deploy/apache/Dockerfile"):
        for line in (ROOT / dockerfile).read_text().splitlines():
            if line.startswith("COPY ") and "--from" not in line:
                sources = line.split()[1:-1]
                assert all((ROOT / source).exists() for source in sources)
                assert {source.split("/")[0] for source in sources} <= let_in
