"""Admit, decode, judge and count uploaded photos, for the pages and the API."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import cast

from flask import Flask, current_app, g, request
from flask_limiter import Limiter, RequestLimit

from app import metrics, refusals
from app.admission import Busy
from app.clients import client_of_request
from app.refusals import Refused
from app.service import Service, current_service
from lens import images
from lens.arrays import Pixels
from lens.verdict import Verdict, judge

ROUTES = ("pages.upload", "comparisons.compare", "api.predict", "api.compare")
"""Endpoints that accept photos."""

_REPORTS = ("pages.report_pdf", "comparisons.report_pdf")
"""Endpoints that make a PDF, which takes as much CPU as judging a photo."""

_API_PHOTOS = {"api.predict": 1, "api.compare": 2}
"""Number of photos in a request."""

_MAX_PHOTOS = 10
"""Maximum number of photos in one form, unless the rate limit is lower. Each has its own result."""


def install(app: Flask) -> None:
    """Reserve a place before the form is read. Call it before anything that reads forms."""
    app.before_request(_reserve_place)
    app.teardown_request(_release_place)


def _reserve_place() -> None:
    if request.endpoint in ROUTES:
        try:
            g.place = current_service().admission.reserve()
        except Busy as busy:
            raise _refused(busy) from busy


def max_photos(rate: str) -> int:
    """Maximum number of photos in one form: with a low rate limit, as many as it allows at once."""
    return _MAX_PHOTOS if rate == "off" else min(_MAX_PHOTOS, int(rate.partition("/")[0]))


def limit_rate(app: Flask, rate: str, storage_url: str) -> None:
    """Limit the rate at which each client may send photos and, counted separately, make reports.

    Args:
        app: the app, whose endpoints are registered.
        rate: such as "30/minute"; "off" for no limit.
        storage_url: where the requests are counted, as Flask-Limiter expects it.
    """
    if rate == "off":
        return
    limiter = Limiter(
        client_of_request,
        app=app,
        storage_uri=storage_url,
        # While Redis cannot be reached, each process counts separately.
        in_memory_fallback_enabled=not storage_url.startswith("memory"),
        on_breach=_remember_reset,
        key_prefix="molelens",
    )
    # The form and the API share one limit.
    photos = limiter.shared_limit(rate, scope="photos", cost=_count_photos)
    reports = limiter.shared_limit(rate, scope="reports")
    for limit, endpoints in ((photos, ROUTES), (reports, _REPORTS)):
        for endpoint in endpoints:
            app.view_functions[endpoint] = limit(app.view_functions[endpoint])  # type: ignore[assignment]


def _remember_reset(limit: RequestLimit) -> None:
    g.rate_reset = limit.reset_at


def _count_photos() -> int:
    """The number of photos in this request, without reading the body of an API request."""
    most = current_app.config["MAX_PHOTOS"]
    if request.endpoint in _API_PHOTOS:
        return min(_API_PHOTOS[request.endpoint], most)  # A limit of 1 must not forbid comparisons.
    sent = [file for files in request.files.listvalues() for file in files if file.filename]
    # More than that: the form is refused, or it is a comparison with a limit of one photo.
    return len(sent) if 1 <= len(sent) <= most else 1


def _release_place(_error: BaseException | None) -> None:
    if "place" in g:
        current_service().admission.release(g.place)


def _refused(busy: Busy) -> Refused:
    return Refused("busy", "All places are taken; try again soon.", retry_after=busy.retry_after)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Measure the time of one stage of the request, for the metrics and the log."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - start
        metrics.STAGE_SECONDS.labels(name).observe(seconds)
        stages = g.setdefault("stages", {})
        stages[name] = stages.get(name, 0.0) + seconds


def sent_photos(field: str = "photo") -> list[bytes]:
    """The bytes of each file in form field ``field``. File names and Content-Types are ignored.

    Raises:
        Refused: no file was sent.
    """
    # Without JavaScript, the form sends its camera input and its file input, one of them empty.
    sent = [file for file in request.files.getlist(field) if file.filename]
    if not sent:
        others = ", ".join(repr(name) for name in sorted(request.files))
        got = f", got files in {others}" if others else ""
        raise Refused("no_file", f"Expected a file in the multipart form field '{field}'{got}.")
    return [_contents(cast(BytesIO, file.stream)) for file in sent]


def single_photo(field: str = "photo") -> bytes:
    """The bytes of the one photo in form field ``field``.

    Raises:
        Refused: no file was sent, or several.
    """
    photos = sent_photos(field)
    if len(photos) > 1:
        raise Refused("several_files", f"Expected one file in '{field}', got {len(photos)}.")
    return photos[0]


def _contents(upload: BytesIO) -> bytes:
    """The bytes of an upload, without the copy that ``read`` would make."""
    with upload:
        return upload.getvalue()


def judge_photo(service: Service, data: bytes) -> tuple[Pixels, Verdict]:
    """Decode and judge a photo; return its pixels (uint8 500 x 500 x 3) and its verdict.

    Raises:
        Refused: the file is not a usable photo, or all places are taken.
    """
    start = time.perf_counter()

    def decode_and_judge() -> tuple[Pixels, Verdict]:
        metrics.STAGE_SECONDS.labels("wait").observe(time.perf_counter() - start)
        with stage("decode"):
            pixels = images.decode(data)
        with stage("judge"):
            return pixels, judge(pixels, service.engine, service.card)

    try:
        pixels, verdict = service.admission.run(decode_and_judge, g.get("place"))
    except images.InvalidImage as error:
        raise refusals.for_image(error) from error
    except Busy as busy:
        raise _refused(busy) from busy
    _record(pixels, verdict)
    return pixels, verdict


def _record(pixels: Pixels, verdict: Verdict) -> None:
    g.verdict = verdict.verdict or verdict.status
    metrics.VERDICTS.labels(g.verdict).inc()
    for reason in verdict.reasons:
        metrics.CANNOT_JUDGE.labels(str(reason)).inc()
    # Only every fifth row, because the mean of all pixels would take 0.4 ms.
    metrics.BRIGHTNESS.observe(float(pixels[::5].mean()))
    if verdict.probability is not None:
        metrics.PROBABILITY.observe(verdict.probability)
