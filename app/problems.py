"""Error responses: a page for people; under /api, RFC 9457 problem+json for programs."""

import json
import time

from flask import Flask, Response, g, render_template, request, url_for
from flask_babel import gettext as _
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, NotFound, RequestEntityTooLarge, SecurityError

from app import comparisons, metrics, uploads
from app.refusals import Refused
from app.results import StoreUnavailable

_STORE_RETRY_SECONDS = 30
_DELETIONS = ("pages.delete", "pages.delete_overview", "comparisons.delete")


def problem_response(
    status: int, title: str, detail: str, code: str = "", retry_after: int | None = None
) -> Response:
    """An RFC 9457 response. Programs can rely on ``code``; it never changes."""
    body = {
        "type": url_for("api.docs", _anchor=code) if code else "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": g.get("request_id"),
    }
    if code:
        body["code"] = code
    response = Response(json.dumps(body), status, content_type="application/problem+json")
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def wants_problem_json() -> bool:
    """Whether errors of this request are sent as problem+json."""
    return request.path.startswith("/api/") and request.endpoint != "api.docs"


def refusal_response(error: Refused) -> Response:
    metrics.REFUSALS.labels(error.code).inc()
    g.refused = error.code
    status = error.refusal.status
    if wants_problem_json():
        detail = f"{error.field}: {error.detail}" if error.field else error.detail
        return problem_response(status, error.refusal.title, detail, error.code, error.retry_after)
    if request.endpoint == "pages.upload":
        page = render_template("index.html", message=error.message, code=error.code)
    elif request.endpoint == "comparisons.compare":
        page = comparisons.form_with_error(error)
    else:
        page = render_template("error.html", status=status, message=error.message)
    response = Response(page, status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def http_error_response(error: HTTPException) -> Response:
    status = error.code or 500
    if wants_problem_json():
        response = problem_response(status, error.name, error.description or error.name)
    else:
        page = render_template("error.html", status=status, message=_message(error))
        response = Response(page, status)
    # Such as the Allow header of a 405.
    for name, value in error.get_headers(request.environ):
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response


def _message(error: HTTPException) -> str:
    # Only the addresses of results contain arguments.
    of_result = request.blueprint in ("pages", "comparisons") and request.view_args
    if isinstance(error, NotFound) and of_result:
        return _(
            "This result is gone: it was deleted, or it has expired. "
            "Results are kept for a few minutes only."
        )
    if isinstance(error, NotFound):
        return _("There is no page at this address.")
    if (error.code or 500) >= 500:
        return _("Something went wrong on our side. Your photo was not judged. Please try again.")
    return _("This request cannot be answered.")


def _too_large(_error: RequestEntityTooLarge) -> Response:
    megabytes = (request.max_content_length or 0) // 1_000_000
    return refusal_response(Refused("too_large", f"Expected at most {megabytes} MB."))


def _rate_limit_exceeded(error: RateLimitExceeded) -> Response:
    retry_after = max(1, int(g.rate_reset - time.time()))
    return refusal_response(
        Refused("rate_limit", f"Expected at most {error.description}.", retry_after)
    )


def _store_unavailable(_error: StoreUnavailable) -> Response:
    if request.endpoint in uploads.ROUTES:
        return refusal_response(
            Refused("store_unavailable", "No result can be kept.", _STORE_RETRY_SECONDS)
        )
    # Stored results may still be there, so this message must not say that none was kept.
    return refusal_response(
        Refused("store_unreachable", "Results cannot be reached.", _STORE_RETRY_SECONDS)
    )


def _form_expired(error: CSRFError) -> Response:
    message = ""
    if request.endpoint in _DELETIONS:
        message = _("Nothing was deleted. Go back, reload the page, and delete it again.")
    return refusal_response(Refused("form_expired", error.description or "", message=message))


def _unknown_host(_error: SecurityError) -> Response:
    # Plain text, because the links of an error page would point to that host.
    return Response("This host name is not served here.\n", 400, content_type="text/plain")


def install(app: Flask) -> None:
    app.register_error_handler(SecurityError, _unknown_host)
    app.register_error_handler(Refused, refusal_response)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(RateLimitExceeded, _rate_limit_exceeded)
    app.register_error_handler(StoreUnavailable, _store_unavailable)
    app.register_error_handler(CSRFError, _form_expired)
    app.register_error_handler(HTTPException, http_error_response)
