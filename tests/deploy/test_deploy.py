"""deploy/ and docs/operations.md agree with the app."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from prometheus_client import REGISTRY
from serving import ROOT

from app import metrics, settings
from bench import sizing

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
KUBERNETES = "1.33"
"""The oldest supported release; preStop.sleep needs 1.30."""
MANIFESTS = {
    f"{path.name}: {document['kind']} {document['metadata']['name']}": document
    for path in sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
}
PODS = {
    name: document["spec"]["template"]["spec"]
    for name, document in MANIFESTS.items()
    if document["kind"] == "Deployment"
}
CONTAINERS = {
    f"{name}: {container['name']}": container
    for name, pod in PODS.items()
    for container in [*pod.get("initContainers", []), *pod["containers"]]
}
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
ALERTS = yaml.safe_load((ROOT / "deploy" / "alerts.yaml").read_text())
FILES_WITH_SETTINGS = [
    "Dockerfile",
    "deploy/compose.yaml",
    "deploy/kubernetes/web.yaml",
    "deploy/molelens.service",
    "docs/operations.md",
]


@pytest.mark.parametrize("name", ["docs/operations.md", "deploy/alerts.yaml"])
def test_every_metric_named_in_the_documentation_and_alerts_exists(name):
    exposed = {sample.name for metric in REGISTRY.collect() for sample in metric.samples}
    # A metric with labels has no sample until it is used.
    exposed |= set(re.findall(r'"(molelens_\w+)"', Path(metrics.__file__).read_text()))
    named = set(re.findall(r"molelens_\w+", (ROOT / name).read_text()))
    assert named
    assert {re.sub(r"_(total|bucket|sum|count)$", "", each) for each in named} <= exposed


@pytest.mark.parametrize("name", FILES_WITH_SETTINGS)
def test_every_setting_named_in_deployment_files_exists(name):
    # Apache's Defines are not settings of the app.
    text = re.sub(r"(Define |\$\{)MOLELENS_\w+", "", (ROOT / name).read_text())
    found = set(re.findall(r"MOLELENS_[A-Z_0-9]+", text))
    assert found
    assert found <= set(re.findall(r"MOLELENS_[A-Z_0-9]+", settings.table()))


def test_the_documented_check_of_a_new_model_ignores_the_configured_model(settings):
    section = OPERATIONS.partition("## A new model")[2]
    (command,) = re.findall(r"/usr/bin/env .*?-c \"import wsgi\"", section, re.DOTALL)
    command = command.replace("/srv/molelens/models/DATE.h5", settings["MOLELENS_MODEL"])
    command = command.replace("/srv/molelens/current/.venv/bin/python", sys.executable)
    configured = {"MOLELENS_MODEL": "/nowhere/old.h5", "MOLELENS_MODEL_SHA256": "0" * 64}
    environment = {**os.environ, **settings, **configured}
    check = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True)
    assert (check.returncode, check.stderr) == (0, b"")


def test_dockerignore_includes_what_the_dockerfiles_copy():
    included = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for dockerfile in ("Dockerfile", "deploy/apache/Dockerfile"):
        for line in (ROOT / dockerfile).read_text().splitlines():
            if line.startswith("COPY ") and "--from" not in line:
                sources = line.split()[1:-1]
                assert all((ROOT / source).exists() for source in sources)
                assert {source.split("/")[0] for source in sources} <= included


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_manifest_matches_the_schema_of_kubernetes(name):
    kubernetes_validate.validate(MANIFESTS[name], KUBERNETES, strict=True)


def test_a_manifest_with_an_unknown_field_is_detected():
    (web,) = (m for name, m in MANIFESTS.items() if name == "web.yaml: Deployment web")
    wrong = {**web, "spec": {**web["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", PODS)
def test_no_pod_gets_service_variables_or_a_service_account_token(name):
    pod = PODS[name]
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_is_locked_down_and_has_resource_limits(name):
    container = CONTAINERS[name]
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"]["drop"] == ["ALL"]
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert re.search(r":\d+\.\d+\.\d+", container["image"])


@pytest.mark.parametrize("name", [name for name in CONTAINERS if "try" not in name])
def test_every_container_that_serves_has_probes(name):
    assert {"readinessProbe", "livenessProbe"} <= set(CONTAINERS[name])


@pytest.mark.parametrize("name", [name for name in PODS if "apache" not in name])
def test_only_the_apache_pod_which_opens_low_ports_may_run_as_root(name):
    assert PODS[name]["securityContext"]["runAsNonRoot"] is True


@pytest.mark.parametrize("name", PODS)
def test_pods_can_write_only_to_memory(name):
    writable = [v["emptyDir"] for v in PODS[name]["volumes"] if "emptyDir" in v]
    assert {volume["medium"] for volume in writable} == {"Memory"}


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_service_of_the_compose_file_is_locked_down(name):
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])
    assert set(service["networks"]) <= set(COMPOSE["networks"])


def test_every_image_is_pinned_to_an_exact_version():
    text = "".join((ROOT / name).read_text() for name in ("Dockerfile", "deploy/apache/Dockerfile"))
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    images = [i for i in re.findall(r"^FROM (\S+)", text, re.MULTILINE) if i not in stages]
    images += [s["image"] for s in COMPOSE["services"].values() if "image" in s]
    assert len(images) == 4
    assert all(re.search(r":\S*\d{8}|:\d+\.\d+\.\d+|@sha256:", image) for image in images)


def test_the_image_does_not_run_as_root():
    (user,) = re.findall(r"^USER (\d+):\d+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert int(user) > 0


def test_every_alert_says_what_is_wrong_and_where_to_look():
    rules = [rule for group in ALERTS["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert {"summary", "look_at"} == set(rule["annotations"])
        assert f"`{rule['alert']}`" in OPERATIONS


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_accepts_the_unit_and_calls_it_safe(tmp_path):
    # The unit itself, except for programs that exist only on the operator's machine.
    for name in ("molelens.service", "molelens.socket"):
        text = (ROOT / "deploy" / name).read_text()
        (tmp_path / name).write_text(re.sub(r"^(Exec\w+=)\S+", r"\1/bin/true", text, flags=re.M))
    units = [str(tmp_path / "molelens.service"), str(tmp_path / "molelens.socket")]
    verify = ["systemd-analyze", "verify", "--man=no", *units]
    result = subprocess.run(verify, capture_output=True, text=True)
    warnings = [line for line in result.stderr.splitlines() if "molelens" in line]
    assert (result.returncode, warnings) == (0, [])
    # Ten times the figure in docs/operations.md.
    score = ["systemd-analyze", "security", "--offline=yes", "--threshold=5", units[0]]
    assert subprocess.run(score, capture_output=True).returncode == 0


def test_the_sizing_table_is_up_to_date():
    written = OPERATIONS.partition(sizing.BEGIN)[2].partition(sizing.END)[0]
    expected = sizing.table(sizing.load_report("serve.json"), sizing.load_report("backends.json"))
    assert written == expected, "run python -m bench.sizing"
    assert f"backends = {sizing.REQUESTS_PER_SECOND} / (requests/s" in OPERATIONS


def test_each_measured_number_of_backends_is_a_row_of_the_sizing_table():
    case = {"photo": "12 MP", "backends": 2, "answered_per_s": 16.25, "worker_pss_mb": [170.4, 171]}
    report = {"machine": "2 x Made-up", "cases": [case]}
    row = "Apache, backends of one worker: 2 | 12 MP | 16.2 | 1,400,000 | 170 + 171 MB |"
    assert row in sizing.table(sizing.load_report("serve.json"), report)
