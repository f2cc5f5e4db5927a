"""Liveness, readiness, metrics and the log: what monitoring relies on."""

import io
import json
import logging
import math
import os
import subprocess
import sys

import numpy as np
import painter
import pytest
from serving import ROOT
from visitor import result_address

from app import create_app
from app.logs import JsonLines
from app.readiness import Readiness, golden_image
from app.settings import StartError
from bench.visits import PREDICTIONS, Visitor, form
from lens.engine import Outputs

GOLDEN_SUM = 126_634_826


class FaultyEngine:
    """The real engine with changed outputs, as after a fault."""

    def __init__(self, engine, change):
        self.engine, self.change, self.name = engine, change, engine.name

    def run(self, images):
        return self.change(self.engine.run(images))


def send(client, photo):
    data = {"photo": (io.BytesIO(painter.encoded(photo)), "secret-name.jpg")}
    return client.post("/api/v1/predictions", data=data)


def test_healthz_says_alive(client):
    response = client.get("/healthz")
    assert (response.status_code, response.get_json()) == (200, {"status": "alive"})


def test_readyz_runs_the_model_on_the_golden_image(client):
    body = client.get("/readyz").get_json()
    assert body["status"] == "ready"
    assert body["golden"]["answer"] == pytest.approx(body["golden"]["expected"], abs=5e-3)


def test_the_golden_image_is_the_same_on_every_machine():
    picture = golden_image()
    assert (picture.shape, picture.dtype) == ((500, 500, 3), np.uint8)
    assert int(picture.astype(np.int64).sum()) == GOLDEN_SUM


@pytest.mark.parametrize(
    "change",
    [
        lambda out: Outputs(out.malignant - 0.1, out.heat_map, out.lesion),
        lambda out: Outputs(out.malignant * math.nan, out.heat_map, out.lesion),
        lambda out: Outputs(out.malignant, out.heat_map * math.nan, out.lesion),
    ],
    ids=["another answer", "NaN", "NaN in the heat map"],
)
def test_readyz_fails_when_the_answer_for_the_golden_image_is_wrong(app, change):
    readiness = app.extensions["molelens"].readiness
    readiness._engine = FaultyEngine(readiness._engine, change)
    response = app.test_client().get("/readyz")
    assert response.status_code == 503
    assert response.get_json()["status"] == "not ready"


def test_readyz_fails_when_results_cannot_be_stored(app, memory_folder):
    (memory_folder / "results").rmdir()
    assert app.test_client().get("/readyz").status_code == 503


def test_the_app_does_not_start_if_the_golden_image_gives_no_probability(app):
    service = app.extensions["molelens"]
    broken = FaultyEngine(service.engine, lambda out: Outputs(out.malignant * math.nan, None, None))
    with pytest.raises(StartError, match="test image"):
        Readiness(broken, service.results)


BAD_MODELS = [
    ("no file", None, "no such file"),
    ("an empty file", b"", "not an HDF5 file"),
    ("text", b"not a model", "not an HDF5 file"),
]


@pytest.mark.parametrize(("name", "data", "words"), BAD_MODELS, ids=[row[0] for row in BAD_MODELS])
def test_with_a_bad_model_the_app_does_not_start_and_says_why_in_one_line(
    settings, tmp_path, name, data, words
):
    path = tmp_path / "model.h5"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(StartError, match=words) as caught:
        create_app({**settings, "MOLELENS_MODEL": str(path)})
    assert "\n" not in str(caught.value)


def test_with_a_model_of_another_sha256_the_app_does_not_start(settings):
    with pytest.raises(StartError, match="MOLELENS_MODEL_SHA256 expects"):
        create_app({**settings, "MOLELENS_MODEL_SHA256": "0" * 64})


def test_gunicorn_stops_with_one_clear_line_when_the_app_cannot_start(memory_folder):
    # One worker: when two fail at the same time, gunicorn 27 halts twice and prints a traceback.
    environment = {
        **os.environ,
        "MOLELENS_MODEL": "/nowhere/model.h5",
        "MOLELENS_RESULTS": f"file://{memory_folder}/results",
        "MOLELENS_WORKERS": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", f"unix:{memory_folder}/socket"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = [line for line in ran.stderr.splitlines() if "/nowhere/model.h5" in line]
    assert ran.returncode != 0
    assert lines
    assert "no such file" in lines[0]
    assert "Traceback" not in ran.stderr


# Metrics.


def value(client, name: str) -> float:
    """The sum of all samples of a metric."""
    text = client.get("/metrics").get_data(as_text=True)
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith(name) and not line.startswith("#")
    )


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ('molelens_verdicts_total{verdict="malignant"}', painter.lesion()),
        ('molelens_verdicts_total{verdict="cannot_judge"}', painter.sea()),
        ('molelens_cannot_judge_total{reason="not_a_lesion"}', painter.sea()),
        ('molelens_stage_seconds_count{stage="decode"}', painter.lesion()),
        ("molelens_photo_brightness_count", painter.lesion()),
        ("molelens_probability_count", painter.lesion()),
        ("molelens_requests_total{", painter.lesion()),
    ],
)
def test_a_photo_is_counted(client, name, photo):
    before = value(client, name)
    send(client, photo)
    assert value(client, name) > before


def test_a_refusal_is_counted_by_its_reason(client):
    name = 'molelens_refusals_total{reason="unsupported_format"}'
    before = value(client, name)
    client.post("/api/v1/predictions", data={"photo": (io.BytesIO(b"text"), "x")})
    assert value(client, name) == before + 1


def test_every_metric_is_named_molelens_unless_it_is_the_librarys(client):
    text = client.get("/metrics").get_data(as_text=True)
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert all(name.startswith(("molelens_", "python_", "process_")) for name in names)
    assert 'engine="openvino"' in text or 'engine="keras"' in text


def test_metrics_never_contain_the_id_of_a_result(client):
    client.get("/result/a-very-secret-id")
    assert "a-very-secret-id" not in client.get("/metrics").get_data(as_text=True)


def test_an_unknown_http_method_creates_no_metric(client):
    client.open("/", method="SURPRISE")
    text = client.get("/metrics").get_data(as_text=True)
    assert "SURPRISE" not in text
    assert 'method="other"' in text


def test_metrics_show_photos_being_judged_and_waiting(app):
    client, admission = app.test_client(), app.extensions["molelens"].admission
    assert admission.run(lambda: value(client, "molelens_in_work")) == 1
    assert (value(client, "molelens_in_work"), value(client, "molelens_waiting")) == (0, 0)


PREDICT = 'method="POST",route="/api/v1/predictions",status='
COUNTS_OF_SIX_PHOTOS_AND_TWO_TEXTS = {
    f'molelens_requests_total{{{PREDICT}"200"}}': 6,
    f'molelens_requests_total{{{PREDICT}"415"}}': 2,
    'molelens_request_seconds_count{route="/api/v1/predictions"}': 8,
    'molelens_stage_seconds_count{stage="wait"}': 8,
    'molelens_stage_seconds_count{stage="decode"}': 8,
    'molelens_stage_seconds_count{stage="judge"}': 6,
    'molelens_verdicts_total{verdict="malignant"}': 6,
    'molelens_refusals_total{reason="unsupported_format"}': 2,
    "molelens_photo_brightness_count": 6,
    'molelens_probability_bucket{le="+Inf"}': 6,
    "molelens_in_work": 0,
    "molelens_waiting": 0,
}


def test_metrics_add_up_all_workers(served):
    def counts() -> dict[str, float]:
        metrics = Visitor(served).ask("/metrics").text
        lines = [line.rsplit(" ", 1) for line in metrics.splitlines()]
        found = {name: float(text) for name, text in lines if not name.startswith("#")}
        return {name: found.get(name, 0.0) for name in COUNTS_OF_SIX_PHOTOS_AND_TWO_TEXTS}

    before = counts()
    for photo in [painter.encoded(painter.lesion())] * 6 + [b"text"] * 2:
        Visitor(served).ask(PREDICTIONS, form(photo))
    # Whichever worker answers, it adds up all of them.
    for _ in range(6):
        after = counts()
        grown = {name: after[name] - before[name] for name in after}
        assert grown == COUNTS_OF_SIX_PHOTOS_AND_TWO_TEXTS


# The log.


@pytest.fixture
def log_lines(caplog):
    caplog.set_level(logging.INFO, logger="molelens")
    formatter = JsonLines()
    return lambda: [json.loads(formatter.format(record)) for record in caplog.records]


def test_each_request_is_logged_in_one_line_with_id_route_status_times_and_verdict(
    client, log_lines
):
    response = send(client, painter.lesion())
    (line,) = log_lines()
    assert line["request_id"] == response.headers["X-Request-ID"]
    assert (line["route"], line["status"]) == ("/api/v1/predictions", 200)
    assert line["verdict"] == "malignant"
    assert line["ms"] >= line["decode_ms"] > 0


def test_the_log_contains_no_address_no_file_name_and_no_id(client, log_lines):
    send(client, painter.lesion())
    client.get("/result/a-very-secret-id?name=secret-name.jpg")
    text = json.dumps(log_lines())
    assert not any(word in text for word in ("127.0.0.1", "secret-name", "a-very-secret-id"))


def test_an_internal_error_is_logged_with_its_traceback(app, log_lines, monkeypatch):
    def fail(*_):
        raise RuntimeError("an error in judging")

    monkeypatch.setattr("app.uploads.judge", fail)
    send(app.test_client(), painter.lesion())
    assert any("an error in judging" in line.get("error", "") for line in log_lines())


def test_an_error_on_a_result_page_is_logged_with_its_route_but_without_the_id(
    app, log_lines, monkeypatch
):
    def fail(*_):
        raise RuntimeError("an error in the report")

    monkeypatch.setattr("app.report.pdf", fail)
    client = app.test_client()
    address = result_address(client)
    response = client.get(f"{address}/report.pdf")
    (line,) = [line for line in log_lines() if "error" in line]
    assert "an error in the report" in line["error"]
    assert line["route"] == "/result/<key>/report.pdf"
    assert line["request_id"] == response.headers["X-Request-ID"]
    assert address.removeprefix("/result/") not in json.dumps(log_lines())
