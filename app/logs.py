"""The log: one JSON object per line, without IP addresses, file names, result ids or hashes."""

import json
import logging
import secrets
import time
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, g, request

from app import metrics

_METHODS = {"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"}

logger = logging.getLogger("molelens")


class JsonLines(logging.Formatter):
    """Formats a record as a line of JSON, to which ``extra={"fields": {...}}`` adds."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def route() -> str:
    """The route's pattern (``/result/<key>``); the path would reveal a result's id."""
    return request.url_rule.rule if request.url_rule else "unmatched"


def _method() -> str:
    """The method, or "other": clients may send any word, and each would create a new metric."""
    return request.method if request.method in _METHODS else "other"


def _begin() -> None:
    g.start = time.perf_counter()
    g.request_id = secrets.token_hex(8)


def _end(response: Response) -> Response:
    seconds = time.perf_counter() - g.get("start", time.perf_counter())
    status = str(response.status_code)
    metrics.REQUESTS.labels(route(), _method(), status).inc()
    metrics.REQUEST_SECONDS.labels(route()).observe(seconds)
    response.headers["X-Request-ID"] = g.get("request_id", "")
    fields = {
        "request_id": g.get("request_id"),
        "method": _method(),
        "route": route(),
        "status": response.status_code,
        "ms": round(seconds * 1000, 1),
        **{f"{name}_ms": round(s * 1000, 1) for name, s in g.get("stages", {}).items()},
    }
    if "verdict" in g:
        fields["verdict"] = g.verdict
    if "refused" in g:
        fields["refused"] = g.refused
    # Health checks and static files would fill the log; the metrics count them.
    quiet = request.blueprint == "ops" or request.endpoint == "static"
    level = logging.DEBUG if quiet and response.status_code < 400 else logging.INFO
    logger.log(level, "request", extra={"fields": fields})
    return response


def _log_exception(exc_info: Any) -> None:
    """Log an unexpected exception. Flask itself would log the path, which may contain an id."""
    fields = {"request_id": g.get("request_id"), "method": _method(), "route": route()}
    logger.error("exception", exc_info=exc_info, extra={"fields": fields})


def install(app: Flask) -> None:
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        core = logging.getLogger("lens")
        core.addHandler(handler)
        core.propagate = False
    app.log_exception = _log_exception  # type: ignore[method-assign]
    # Flask and its extensions then log lines of JSON, too.
    app.logger.handlers = logger.handlers
    app.logger.propagate = False
    app.before_request(_begin)
    app.after_request(_end)
