"""The host names that the app answers, and the path under which it is served."""

import ipaddress
import os
import re
from collections.abc import Callable, Collection
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import SecurityError

_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?")


def normalized(host: str) -> str:
    """Normalize ``host`` or ``host:port``: lower case, no trailing dot, IPv6 compressed."""
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
    """Whether a host, on any port, is one of ``known``; ".example.org" includes subdomains."""
    name = _without_port(normalized(host))
    known = [_without_port(normalized(each)) for each in known]
    return any(
        name == each.removeprefix(".") or (each.startswith(".") and name.endswith(each))
        for each in known
    )


def _without_port(host: str) -> str:
    match = _HOST.fullmatch(host)
    return match[1] if match else host


def install(app: Flask, known: Collection[str]) -> None:
    """Refuse other hosts, and serve the app only under SCRIPT_NAME.

    Call it before adding ``ProxyFix``, so that it sees the host that a proxy reports.
    """
    path = os.environ.pop("SCRIPT_NAME", "").strip("/")
    app.wsgi_app = _Mount(app.wsgi_app, f"/{path}" if path else "")  # type: ignore[method-assign]
    if known:
        app.before_request(lambda: _refuse_unknown_host(known))


class _Mount:
    """WSGI middleware: normalizes the host, and serves the app under a path.

    gunicorn could do the latter, but it answers 500 to requests outside the path, and treats
    /molelenses as a path under /molelens.
    """

    def __init__(self, app: Callable[..., Any], root: str) -> None:
        self._app = app
        self._root = root

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if "HTTP_HOST" in environ:
            environ["HTTP_HOST"] = normalized(environ["HTTP_HOST"])
        path = environ["PATH_INFO"]
        if self._root:
            if not f"{path}/".startswith(f"{self._root}/"):
                message = f"MoleLens is served under {self._root}/ here.\n"
                return Response(message, 404)(environ, start_response)
            environ["SCRIPT_NAME"] = self._root
            environ["PATH_INFO"] = path.removeprefix(self._root) or "/"
        return self._app(environ, start_response)


def _refuse_unknown_host(known: Collection[str]) -> None:
    if not is_known(request.host, known):
        raise SecurityError
