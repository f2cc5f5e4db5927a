"""How many photos one client may send."""

from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from app import judging

# The form and the API share one budget.
_SCOPE = "photos"


def install(app: Flask, rate: str, storage_url: str) -> None:
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
    limit = limiter.shared_limit(rate, scope=_SCOPE, cost=_photos)
    for endpoint in judging.ROUTES:
        app.view_functions[endpoint] = limit(app.view_functions[endpoint])  # type: ignore[assignment]


def _photos() -> int:
    """Several photos in one form count as many. The API takes one, and its body is not read yet."""
    if request.endpoint != "pages.upload":
        return 1
    return max(1, sum(bool(file.filename) for file in request.files.getlist("photo")))
