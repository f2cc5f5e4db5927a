"""How requests are read: uploads stay in memory, the cookie is Secure whenever the page was."""

import flask
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from app.forms import PhotoForm


class PhotoRequest(flask.Request):
    """A request whose form is read as app.forms does."""

    form_data_parser_class = PhotoForm
    want_form_data_parsed = True  # Without a Content-Type, too: it is told that it has none.


class OwnCookie(SecureCookieSessionInterface):
    """The session's cookie: for this app alone, and Secure where the request was.

    Plain http on this machine must work too, and below a path other apps may share the host.
    """

    def get_cookie_secure(self, app: Flask) -> bool:
        return flask.request.is_secure

    def get_cookie_path(self, app: Flask) -> str:
        return cookie_path()


def cookie_path() -> str:
    """Where the app is mounted: "/", or the sub-path that SCRIPT_NAME names."""
    return flask.request.script_root or "/"


def install(app: Flask) -> None:
    app.request_class = PhotoRequest
    app.session_interface = OwnCookie()
