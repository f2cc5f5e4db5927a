"""Simulate visitors who load the form, send a photo, look at the result, and use the API."""

import itertools
import re
import threading
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPMessage
from http.cookiejar import CookieJar
from typing import IO, Self

from bench import load

_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class Visits:
    """Visitors who each send one photo after another until the ``with`` block ends.

    Attributes:
        rounds: number of completed visits.
        answered: number of requests that got the expected answer.
        errors: messages about all other requests.
    """

    def __init__(self, url: str, photos: list[bytes], visitors: int) -> None:
        self._url = url
        self._photos = photos
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.rounds = 0
        self.answered = 0
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._visit_repeatedly) for _ in range(visitors)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Wait until all visits are completed."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _visit_repeatedly(self) -> None:
        for number, photo in enumerate(itertools.cycle(self._photos)):
            if self._stop.is_set():
                return
            try:
                self._upload(photo, delete=number % 2 == 0)
                self._predict(photo)
                self._send_no_photo()
            except (OSError, HTTPException, UnexpectedAnswerError) as error:
                with self._lock:
                    self.errors.append(str(error))
            with self._lock:
                self.rounds += 1

    def _upload(self, photo: bytes, delete: bool) -> None:
        opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(CookieJar()), _NoRedirect
        )
        page, _ = self._ask(opener, "/", 200)
        token = {"csrf_token": _token(page)}
        _, headers = self._ask(opener, "/upload", 303, load.form(photo, token))
        result = headers["Location"]
        page, _ = self._ask(opener, result, 200)
        self._ask(opener, f"{result}/photo.jpg", 200)
        self._ask(opener, f"{result}/heatmap.png", 200)
        if delete:  # Other results are left to expire.
            again = load.form(b"", {"csrf_token": _token(page)})
            self._ask(opener, f"{result}/delete", 303, again)

    def _predict(self, photo: bytes) -> None:
        self._ask(urllib.request.build_opener(), load.PATH, 200, load.form(photo))

    def _send_no_photo(self) -> None:
        self._ask(urllib.request.build_opener(), load.PATH, 415, load.form(b"not a photo"))

    def _ask(
        self,
        opener: urllib.request.OpenerDirector,
        path: str,
        expected: int,
        body: bytes | None = None,
    ) -> tuple[str, HTTPMessage]:
        headers = load.HEADERS if body is not None else {}
        request = urllib.request.Request(self._url + path, body, headers)
        try:
            with opener.open(request, timeout=120) as answer:
                status, content, answer_headers = answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            status, content, answer_headers = error.code, error.read(), error.headers
        if status != expected:
            raise UnexpectedAnswerError(f"{path}: expected {expected}, got {status}")
        with self._lock:
            self.answered += 1
        return content.decode(errors="replace"), answer_headers


class UnexpectedAnswerError(Exception):
    """An answer does not have the expected status or content."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


def _token(page: str) -> str:
    token = _TOKEN.search(page)
    if not token:
        raise UnexpectedAnswerError("expected a page with a form, got none")
    return token[1]
