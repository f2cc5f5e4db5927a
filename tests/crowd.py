"""People who use MoleLens all the time while a test breaks something: a steady load that remembers.

Each has a photo of a colour of their own, so that one who is shown another's result would see it.
"""

import re
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from http.cookiejar import CookieJar
from io import BytesIO
from types import TracebackType
from typing import Self

import numpy as np
import painter
from PIL import Image
from serving import NoRedirect, form, wait_until

COLOURS = [painter.DARK, painter.PALE, (120, 20, 20)]
SAME_COLOUR = 4.0
"""Grey levels by which a photo's mean may change on its way; those of two people differ by more."""


@dataclass(frozen=True)
class Accepted:
    """A photo that was answered with a result's address."""

    address: str
    person: int


class Crowd:
    """Each of its people gets the form, sends their photo, and looks at the result, for ever."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.accepted: list[Accepted] = []
        self.refused: list[tuple[int, str]] = []
        self.broken_off: list[str] = []
        self.mixed_up: list[Accepted] = []
        self._photos = [painter.encoded(painter.lesion(colour=colour)) for colour in COLOURS]
        self._colours = [mean_colour(photo) for photo in self._photos]
        self.people = range(len(COLOURS))
        self._leave = threading.Event()
        self._threads = [
            threading.Thread(target=self._come_again, args=(person,)) for person in self.people
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._leave.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, photos: int = 3) -> None:
        """Until so many more photos were accepted: the service does serve, now."""
        enough = len(self.accepted) + photos
        wait_until(lambda: len(self.accepted) >= enough)

    def is_shown(self, result: Accepted) -> int:
        """Look at a result; the status. A photo of another person is remembered as mixed up."""
        status, body = self._ask(visitor(), f"{result.address}/photo.jpg")
        if status == 200:
            off = np.abs(mean_colour(body) - self._colours[result.person]).max()
            if off > SAME_COLOUR:
                self.mixed_up.append(result)
        return status

    def statuses(self) -> set[int]:
        """What all who were accepted are answered now."""
        return {self.is_shown(result) for result in self.accepted}

    def _come_again(self, person: int) -> None:
        while not self._leave.is_set():
            try:
                self._visit(person)
            except (OSError, HTTPException) as error:
                self.broken_off.append(repr(error))

    def _visit(self, person: int) -> None:
        opener = visitor()
        status, page = self._ask(opener, "/")
        if status != 200:
            self.refused.append((status, page.decode()))
            return
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.decode())[1]
        body, kind = form(self._photos[person], csrf_token=token)
        status, said = self._ask(opener, "/upload", body, kind)
        if status != 303:
            self.refused.append((status, said.decode()))
            return
        self.accepted.append(Accepted(said.decode(), person))
        self.is_shown(self.accepted[-1])

    def _ask(
        self,
        opener: urllib.request.OpenerDirector,
        path: str,
        body: bytes | None = None,
        kind: str = "",
    ) -> tuple[int, bytes]:
        """Status and body; for a redirect, where it leads to instead."""
        headers = {"Content-Type": kind} if kind else {}
        request = urllib.request.Request(self.url + path, body, headers)
        try:
            with opener.open(request, timeout=120) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            said = error.headers.get("Location", "").encode() or error.read()
            return error.code, said


def visitor() -> urllib.request.OpenerDirector:
    """A browser of its own: cookies are kept, redirects are not followed."""
    cookies = urllib.request.HTTPCookieProcessor(CookieJar())
    return urllib.request.build_opener(cookies, NoRedirect)


def mean_colour(photo: bytes) -> np.ndarray:
    pixels: np.ndarray = np.asarray(Image.open(BytesIO(photo)).convert("RGB"))
    return pixels.mean(axis=(0, 1))
