"""The web app of MoleLens: pages for people and an API for programs."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from app import settings
from app.settings import PREFIX, RESOURCES, Settings, StartError

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["StartError", "create_app"]


def create_app(config: Mapping[str, Any] | None = None) -> "Flask":
    """Create the application and load its model.

    Args:
        config: MOLELENS_* settings as strings, which override the environment, and keys of Flask's
            own configuration.

    Raises:
        StartError: a setting, the model or the store is unusable; its message gives the reason.
    """
    # gunicorn's parent process imports this package too (app/server) and must not have loaded
    # Flask, NumPy or OpenVINO when it forks, so they are imported here.
    from flask import Flask
    from flask_wtf import CSRFProtect

    from app import (
        addresses,
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
    from app.comparisons import comparisons
    from app.ops import ops
    from app.pages import pages

    config = dict(config or {})
    given = {name: value for name, value in config.items() if name.startswith(PREFIX)}
    values = settings.read({**os.environ, **given})
    app = Flask("app", template_folder=RESOURCES / "templates", static_folder=RESOURCES / "static")
    logs.install(app)
    app.extensions["molelens"] = served = service.start(values)
    app.config.update(_flask_config(values, served.store.secret_key))
    app.config.update({name: value for name, value in config.items() if name not in given})
    app.json.sort_keys = False  # type: ignore[attr-defined]
    addresses.install(app, values.hosts)
    for part in (languages, incoming, static_files, headers, problems, uploads):
        part.install(app)
    CSRFProtect(app).exempt(api)  # The API reads no cookies, so it needs no CSRF protection.
    for blueprint in (pages, comparisons, api, ops):
        app.register_blueprint(blueprint)
    uploads.limit_rate(app, values.rate_limit, served.store.rate_limit_url)
    _trust_proxies(app, values.proxies)
    return app


def _flask_config(values: Settings, secret_key: str) -> dict[str, Any]:
    from app import uploads

    return {
        "SECRET_KEY": secret_key,
        "MAX_CONTENT_LENGTH": values.max_upload * 1_000_000,
        "MAX_PHOTOS": uploads.max_photos(values.rate_limit),
        "SESSION_COOKIE_NAME": "molelens",
        "SESSION_COOKIE_HTTPONLY": True,
        # With "Strict", a visit from a link on another site sends no cookie, so the app would set a
        # new one, and the forms of pages that are already open would become invalid.
        "SESSION_COOKIE_SAMESITE": "Lax",
        # A form is valid as long as the browser keeps the session cookie.
        "WTF_CSRF_TIME_LIMIT": None,
        # This check needs the Referer header, which our Referrer-Policy turns off. The token and
        # the SameSite cookie protect the form without it.
        "WTF_CSRF_SSL_STRICT": False,
    }


def _trust_proxies(app: "Flask", count: int) -> None:
    from werkzeug.middleware.proxy_fix import ProxyFix

    if count:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=count, x_proto=count, x_host=count
        )
