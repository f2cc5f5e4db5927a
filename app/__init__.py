"""The web side of MoleLens: a form, a result, an API."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app import settings
from app.settings import PREFIX, ROOT, Settings, StartError

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["StartError", "create_app"]


def create_app(config: Mapping[str, Any] | None = None) -> "Flask":
    """The application, its model loaded.

    Args:
        config: MOLELENS_* settings (strings, as in the environment, over which they win) and any
            of Flask's own keys.

    Raises:
        StartError: a setting, the model or the store does not allow a start; one line says why.
    """
    # Imported here, since gunicorn's parent process imports this package too (app/server), and
    # must not hold Flask, NumPy or OpenVINO when it forks.
    from flask import Flask
    from flask_wtf import CSRFProtect

    from app import (
        headers,
        incoming,
        languages,
        logs,
        problems,
        service,
        static_files,
        uploads,
    )
    from app.api import api
    from app.ops import ops
    from app.pages import pages

    config = dict(config or {})
    given = {name: value for name, value in config.items() if name.startswith(PREFIX)}
    values = settings.read({**os.environ, **given})
    app = Flask("app", template_folder=ROOT / "templates", static_folder=ROOT / "static")
    logs.install(app)
    app.extensions["molelens"] = served = service.start(values)
    app.config.update(_flask_config(values, served.store.secret_key))
    app.config.update({name: value for name, value in config.items() if name not in given})
    app.json.sort_keys = False  # type: ignore[attr-defined]
    languages.install(app)
    incoming.install(app)
    static_files.install(app)
    headers.install(app)
    problems.install(app)
    uploads.install(app)
    CSRFProtect(app).exempt(api)  # The API reads no cookie, so there is nothing to forge.
    for blueprint in (pages, api, ops):
        app.register_blueprint(blueprint)
    uploads.limit_rate(app, values.rate_limit, served.store.rate_limit_url)
    _trust_proxies(app, values.proxies)
    return app


def _flask_config(values: Settings, secret_key: str) -> dict[str, Any]:
    return {
        "SECRET_KEY": secret_key,
        "MAX_CONTENT_LENGTH": values.max_upload * 1_000_000,
        "MAX_FORM_PARTS": 20,
        "TRUSTED_HOSTS": list(values.hosts) or None,
        "SESSION_COOKIE_NAME": "molelens",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Strict",
        # A form stays good for as long as the browser keeps its session.
        "WTF_CSRF_TIME_LIMIT": None,
        # This check reads the Referer header, which our own Referrer-Policy keeps browsers from
        # sending; the token and the SameSite cookie stand without it.
        "WTF_CSRF_SSL_STRICT": False,
    }


def _trust_proxies(app: "Flask", count: int) -> None:
    from werkzeug.middleware.proxy_fix import ProxyFix

    if count:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=count, x_proto=count, x_host=count
        )
