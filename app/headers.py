"""Security and caching headers of every response."""

from flask import Flask, Response, request

# Forbids inline scripts and styles, data: and blob: URLs, and other origins.
_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; img-src 'self'; manifest-src 'self'; script-src 'self'; "
    "style-src 'self'"
)
_PERMISSIONS_POLICY = (
    "camera=(self), accelerometer=(), autoplay=(), display-capture=(), encrypted-media=(), "
    "fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), "
    "payment=(), picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(), "
    "usb=(), xr-spatial-tracking=()"
)
_SECURITY_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": _PERMISSIONS_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# Not for subdomains: the site may share its host name with other services.
_HSTS_FOR_TWO_YEARS = "max-age=63072000"
_CACHE_FOR_A_YEAR = "public, max-age=31536000, immutable"


def add_headers(response: Response) -> Response:
    response.headers.update(_SECURITY_HEADERS)
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = _HSTS_FOR_TWO_YEARS
    if request.endpoint != "static":
        # Caches must not keep results that have expired, nor forms whose CSRF token has.
        response.headers["Cache-Control"] = "no-store"
    elif "v" in request.args and response.status_code == 200:
        response.headers["Cache-Control"] = _CACHE_FOR_A_YEAR
    return response


def install(app: Flask) -> None:
    app.after_request(add_headers)
