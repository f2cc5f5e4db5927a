"""Visitors of a running server, for benchmarks and tests: they open the form and upload photos."""

import re
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from http.cookiejar import CookieJar
from typing import Any, Self
from urllib.parse import urlsplit

PREDICTIONS = "/api/v1/predictions"
_BOUNDARY = "molelens-visitor"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
"""Headers of a request whose body is a ``form``."""
_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


def form(*photos: bytes, **fields: str) -> bytes:
    """The body of a multipart form: text fields, and photos in the field ``photo``."""
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode()
        for name, text in fields.items()
    ]
    head = b'Content-Disposition: form-data; name="photo"; filename="photo.jpg"\r\n'
    parts += [head + b"Content-Type: image/jpeg\r\n\r\n" + photo for photo in photos]
    edge = f"--{_BOUNDARY}".encode()
    return b"".join(edge + b"\r\n" + part + b"\r\n" for part in parts) + edge + b"--\r\n"


class UnexpectedAnswerError(Exception):
    """An answer does not have the expected status or content."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request for ``address``, with any status."""

    address: str
    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def location(self) -> str:
        """The address that a redirect leads to."""
        return str(self.headers["Location"])

    @property
    def token(self) -> str:
        """The CSRF token of a page with a form."""
        if not (token := _TOKEN.search(self.text)):
            raise UnexpectedAnswerError(f"{self.address}: expected a page with a form, got none")
        return token[1]


class Visitor:
    """A browser with its own cookies, which does not follow redirects."""

    def __init__(self, site: str, trusted: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(site)
        self._host, self._path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=trusted),
            urllib.request.HTTPCookieProcessor(self.cookies),
            _NoRedirect,
        )

    def ask(
        self, address: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Get an address on the host, or post a body to it: a ``form``, unless headers differ."""
        sent = {**(HEADERS if body is not None else {}), **(headers or {})}
        request = urllib.request.Request(self._host + address, body, sent)
        try:
            with self._opener.open(request, timeout=120) as answer:
                return Answer(address, answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(address, error.code, error.headers, error.read())

    def submit(self, page: Answer, address: str, *photos: bytes) -> Answer:
        """Send the form of a page, with photos."""
        return self.ask(address, form(*photos, csrf_token=page.token))

    def upload(self, *photos: bytes) -> Answer:
        """Open the front page and send photos; a front page with an error is the answer."""
        page = self.ask(f"{self._path}/")
        return self.submit(page, f"{self._path}/upload", *photos) if page.status == 200 else page


class Visits:
    """Visitors who each repeat a visit until the ``with`` block ends; subclasses define ``visit``.

    Attributes:
        completed: number of visits that have ended, including failed ones.
        errors: messages about the failed ones.
    """

    def __init__(self, visitors: int) -> None:
        self.completed = 0
        self.errors: list[str] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(visitor,), daemon=True)
            for visitor in range(visitors)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until all visits have ended."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def visit(self, visitor: int) -> None:
        """Make one visit as the visitor of this number."""
        raise NotImplementedError

    def _repeat(self, visitor: int) -> None:
        while not self._stop.is_set():
            try:
                self.visit(visitor)
            except (OSError, HTTPException, UnexpectedAnswerError) as error:
                self.errors.append(str(error))
            with self._lock:
                self.completed += 1


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None
