"""Request and session classes: uploads stay in memory, cookies are limited to this app."""

import flask
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from app.forms import PhotoForm


class PhotoRequest(flask.Request):
    """A request whose form ``app.forms`` parses."""

    form_data_parser_class = PhotoForm
    want_form_data_parsed = True  # Also without a Content-Type, so that an error is reported.


class OwnCookie(SecureCookieSessionInterface):
    """A session cookie that is Secure if the request was, and sent to the path of this app only.

    Plain http must work on a developer's machine, and other apps may share the host.
    """

    def get_cookie_secure(self, app: Flask) -> bool:
        return flask.request.is_secure

    def get_cookie_path(self, app: Flask) -> str:
        return cookie_path()


def cookie_path() -> str:
    """The path below which the app is served: "/", or SCRIPT_NAME."""
    return flask.request.script_root or "/"


def install(app: Flask) -> None:
    app.request_class = PhotoRequest
    app.session_interface = OwnCookie()
