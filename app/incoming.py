"""Request and session classes: uploads stay in memory, cookies are limited to this app."""

import flask
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from app.forms import PhotoForm


class PhotoRequest(flask.Request):
    """A request whose form ``app.forms`` parses."""

    form_data_parser_class = PhotoForm
    want_form_data_parsed = True  # Even without a Content-Type, so that the error is reported.


class SessionCookie(SecureCookieSessionInterface):
    """A session cookie that is Secure if the request came by HTTPS, and limited to this app's path.

    Plain HTTP must work on a developer's machine, and other apps may share the host.
    """

    def get_cookie_secure(self, app: Flask) -> bool:
        return flask.request.is_secure

    def get_cookie_path(self, app: Flask) -> str:
        return cookie_path()


def cookie_path() -> str:
    """The path under which the app is served: "/", or SCRIPT_NAME."""
    return flask.request.script_root or "/"


def install(app: Flask) -> None:
    app.request_class = PhotoRequest
    app.session_interface = SessionCookie()
