"""The photos of a request: each admitted, decoded, judged, counted. Pages and API share it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import cast

import numpy as np
from flask import Flask, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from app import metrics, refusals
from app.admission import Busy
from app.refusals import Refused
from app.service import Service, current
from lens import images
from lens.verdict import Verdict, judge

ROUTES = ("pages.upload", "api.predict")
"""Where photos are sent to."""

_LIMIT_SCOPE = "photos"
"""The form and the API share one budget."""


def install(app: Flask) -> None:
    """Call it before anything that reads forms."""
    app.before_request(_expect)
    app.teardown_request(_leave)


def _expect() -> None:
    if request.endpoint in ROUTES:
        try:
            g.place = current().admission.expect()
        except Busy as busy:
            raise _refused(busy) from busy


def limit_rate(app: Flask, rate: str, storage_url: str) -> None:
    """Limit the routes that judge photos to ``rate`` ("30/minute"; "off" for none)."""
    if rate == "off":
        return
    limiter = Limiter(
        get_remote_address,
        app=app,
        storage_uri=storage_url,
        # Should Redis go away, each process counts by itself until it is back.
        in_memory_fallback_enabled=not storage_url.startswith("memory"),
        headers_enabled=True,
        key_prefix="molelens",
    )
    limit = limiter.shared_limit(rate, scope=_LIMIT_SCOPE, cost=_photos)
    for endpoint in ROUTES:
        app.view_functions[endpoint] = limit(app.view_functions[endpoint])  # type: ignore[assignment]


def _photos() -> int:
    """Several photos in one form count as many. The API takes one, and its body is not read yet."""
    if request.endpoint != "pages.upload":
        return 1
    return max(1, sum(bool(file.filename) for file in request.files.getlist("photo")))


def _leave(_error: BaseException | None) -> None:
    if "place" in g:
        current().admission.leave(g.place)


def _refused(busy: Busy) -> Refused:
    return Refused("busy", "All places are taken; try again soon.", retry_after=busy.retry_after)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Time one stage of the request, for the metrics and the log."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - start
        metrics.STAGE_SECONDS.labels(name).observe(seconds)
        stages = g.setdefault("stages", {})
        stages[name] = stages.get(name, 0.0) + seconds


def sent_photos() -> list[bytes]:
    """The bytes of each form field ``photo``. A file's name and stated type are never looked at.

    Raises:
        Refused: no file was sent.
    """
    # A form without JavaScript has a camera input and a file input; the unused one comes empty.
    sent = [file for file in request.files.getlist("photo") if file.filename]
    if not sent:
        raise Refused("no_file", "Expected a file in the multipart form field 'photo'.")
    return [_taken(cast(BytesIO, file.stream)) for file in sent]


def _taken(upload: BytesIO) -> bytes:
    """All its bytes, without the copy that reading makes: many photos may wait for their turn."""
    with upload:
        return upload.getvalue()


def judge_photo(service: Service, data: bytes) -> tuple[np.ndarray, Verdict]:
    """The decoded photo (uint8 500 x 500 x 3) and its verdict.

    Raises:
        Refused: the file is not a usable photo, or there is no room for it now.
    """
    start = time.perf_counter()

    def work() -> tuple[np.ndarray, Verdict]:
        metrics.STAGE_SECONDS.labels("wait").observe(time.perf_counter() - start)
        with stage("decode"):
            pixels = images.decode(data)
        with stage("judge"):
            return pixels, judge(pixels, service.engine, service.card)

    try:
        pixels, verdict = service.admission.run(work, g.get("place"))
    except images.InvalidImage as error:
        raise refusals.of_image(error) from error
    except Busy as busy:
        raise _refused(busy) from busy
    _count(pixels, verdict)
    return pixels, verdict


def _count(pixels: np.ndarray, verdict: Verdict) -> None:
    g.verdict = verdict.verdict or verdict.status
    metrics.VERDICTS.labels(g.verdict).inc()
    for reason in verdict.reasons:
        metrics.CANNOT_JUDGE.labels(str(reason)).inc()
    # Of every fifth row: the mean of all pixels takes 0.4 ms.
    metrics.BRIGHTNESS.observe(float(pixels[::5].mean()))
    if verdict.probability is not None:
        metrics.PROBABILITY.observe(verdict.probability)
