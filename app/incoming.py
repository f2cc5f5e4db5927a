"""How requests are read: uploads stay in memory, the cookie is Secure whenever the page was."""

from io import BufferedReader, BytesIO
from typing import IO, Any

import flask
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import BadRequest
from werkzeug.formparser import FormDataParser

READ_AT_ONCE = 2**18
"""Bytes; as many as gunicorn asks the kernel for (gunicorn.conf.py). It copies what it has read
ahead of the app at every read, and Werkzeug reads 64 kB. With 1 MB a worker held 168 MB at the
worst moment of 32 clients with 12 MP, and holds 154 so; with 64 kB a request takes 1.2 ms more."""


class NamedFields(FormDataParser):
    """Refuses a field without a name: no browser sends one, and Flask-WTF breaks on it."""

    def parse(self, stream: Any, *arguments: Any, **named: Any) -> Any:
        """As Werkzeug's own, which reads the name of such a field as None."""
        ahead = BufferedReader(stream, READ_AT_ONCE)
        stream, form, files = super().parse(ahead, *arguments, **named)
        if None in form or None in files:
            raise BadRequest("Expected a name for each field of the form.")
        return stream, form, files


class MemoryRequest(flask.Request):
    """A request whose uploads never touch the disk."""

    form_data_parser_class = NamedFields

    def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
        # Werkzeug writes uploads over 500 kB to a temporary file; a photo must not be on a disk.
        # MAX_CONTENT_LENGTH bounds the memory.
        return BytesIO()


class SecureWhenHttps(SecureCookieSessionInterface):
    """Plain http on this machine must work too, so Secure follows the request."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return flask.request.is_secure


def install(app: Flask) -> None:
    app.request_class = MemoryRequest
    app.session_interface = SecureWhenHttps()
