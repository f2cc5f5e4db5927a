"""Under which host names, and below which path of them, the app is reached."""

import ipaddress
import os
import re
from collections.abc import Callable, Collection
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import SecurityError

_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?")


def normal(host: str) -> str:
    """``host`` or ``host:port`` in small letters, without a dot at its end, IPv6 shortened."""
    match = _HOST.fullmatch(host.strip())
    if not match:
        return host
    name = match[1].lower()
    if name.startswith("["):
        try:
            name = f"[{ipaddress.IPv6Address(name[1:-1])}]"
        except ValueError:
            return host
    else:
        name = name.removesuffix(".")
    return f"{name}:{match[2]}" if match[2] else name


def is_known(host: str, known: Collection[str]) -> bool:
    """Whether a host is one of ``known``, whatever the port; ".example.org" takes subdomains."""
    name = _without_port(normal(host))
    return any(
        name == each.removeprefix(".") or (each.startswith(".") and name.endswith(each))
        for each in (_without_port(normal(each)) for each in known)
    )


def _without_port(host: str) -> str:
    match = _HOST.fullmatch(host)
    return match[1] if match else host


def install(app: Flask, known: Collection[str]) -> None:
    """Refuse foreign hosts, and answer below SCRIPT_NAME alone.

    Call it before proxies are trusted, so that the host that they name is looked at.
    """
    path = os.environ.pop("SCRIPT_NAME", "").strip("/")
    below = f"/{path}" if path else ""
    app.wsgi_app = _Addressed(app.wsgi_app, below)  # type: ignore[method-assign]
    if known:
        app.before_request(lambda: _refuse_foreign(known))


class _Addressed:
    """Writes the host of each request in one way, and splits the path where the app begins.

    gunicorn would split it too, but answer 500 to what does not lie below, and take /molelenses for
    below /molelens.
    """

    def __init__(self, app: Callable[..., Any], below: str) -> None:
        self._app = app
        self._below = below

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if "HTTP_HOST" in environ:
            environ["HTTP_HOST"] = normal(environ["HTTP_HOST"])
        path = environ["PATH_INFO"]
        if self._below:
            if not f"{path}/".startswith(f"{self._below}/"):
                words = f"MoleLens is served below {self._below}/ here.\n"
                return Response(words, 404)(environ, start_response)
            environ["SCRIPT_NAME"] = self._below
            environ["PATH_INFO"] = path.removeprefix(self._below) or "/"
        return self._app(environ, start_response)


def _refuse_foreign(known: Collection[str]) -> None:
    if not is_known(request.host, known):
        raise SecurityError
