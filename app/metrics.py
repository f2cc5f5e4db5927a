"""Prometheus metrics, all named molelens_...

gunicorn.conf.py sets PROMETHEUS_MULTIPROC_DIR, so that each worker has its own counts and /metrics
adds them up.
"""

import os

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Counter("molelens_requests", "Requests answered.", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "molelens_request_seconds",
    "Duration of a request, in seconds.",
    ["route"],
    buckets=_BUCKETS_SECONDS,
)
STAGE_SECONDS = Histogram(
    "molelens_stage_seconds",
    "Duration of the stages of a photo, in seconds: wait, decode, judge, store.",
    ["stage"],
    buckets=_BUCKETS_SECONDS,
)
VERDICTS = Counter("molelens_verdicts", "Verdicts given.", ["verdict"])
CANNOT_JUDGE = Counter("molelens_cannot_judge", "Why photos could not be judged.", ["reason"])
REFUSALS = Counter("molelens_refusals", "Requests refused, by reason.", ["reason"])
IN_WORK = Gauge(
    "molelens_in_work", "Photos being decoded or judged now.", multiprocess_mode="livesum"
)
WAITING = Gauge("molelens_waiting", "Photos waiting in the queue now.", multiprocess_mode="livesum")
# This metric and the next one reveal drift: a change in the photos that users send.
BRIGHTNESS = Histogram(
    "molelens_photo_brightness",
    "Mean grey level of the photos judged, 0 to 255.",
    buckets=tuple(range(16, 256, 16)),
)
PROBABILITY = Histogram(
    "molelens_probability",
    "Calibrated p(malignant) of the photos judged.",
    buckets=tuple(step / 20 for step in range(1, 20)),
)
MODEL = Gauge(
    "molelens_model",
    "1 for the model served.",
    ["name", "sha256", "engine"],
    # Live workers only: after a reload, the previous model is no longer served.
    multiprocess_mode="livemax",
)


def exposition() -> bytes:
    """All metrics of all workers, in Prometheus' text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
