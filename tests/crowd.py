"""Visitors who upload photos without pause while a test breaks something, and what they are shown.

Each sends a photo of its own colour, so that a photo shown to the wrong visitor is noticed.
"""

from dataclasses import dataclass
from io import BytesIO
from ssl import SSLContext
from typing import Self

import numpy as np
import painter
from PIL import Image
from serving import wait_until

from bench.visits import Answer, Visitor, Visits

COLOURS = [painter.DARK, painter.PALE, (120, 20, 20)]
MAX_COLOUR_DIFFERENCE = 4.0
"""Grey levels by which encoding may change a photo's mean; two visitors' photos differ by more."""


@dataclass(frozen=True)
class Accepted:
    """The address of a result, and the number of the visitor who uploaded its photo."""

    address: str
    visitor: int


class Crowd(Visits):
    """Three visitors who upload a photo and look at the result, again and again.

    Attributes:
        accepted: uploads that were answered with the address of a result.
        refused: all other answers to uploads.
        mixed_up: results that showed another visitor's photo.
    """

    def __init__(self, url: str, trusted: SSLContext | None = None) -> None:
        super().__init__(len(COLOURS))
        self.url = url
        self.accepted: list[Accepted] = []
        self.refused: list[Answer] = []
        self.mixed_up: list[Accepted] = []
        self._trusted = trusted
        self._photos = [painter.encoded(painter.lesion(colour=colour)) for colour in COLOURS]
        self._colours = [mean_colour(photo) for photo in self._photos]

    def __enter__(self) -> Self:
        super().__enter__()
        self.wait_for_uploads()
        return self

    def wait_for_uploads(self, count: int = 3) -> None:
        """Wait until so many more photos are accepted, which shows that the service works."""
        enough = len(self.accepted) + count
        wait_until(lambda: len(self.accepted) >= enough)

    def visit(self, visitor: int) -> None:
        answer = Visitor(self.url, self._trusted).upload(self._photos[visitor])
        if answer.status != 303:
            self.refused.append(answer)
            return
        self.accepted.append(Accepted(answer.location, visitor))
        self.photo_status(self.accepted[-1])

    def photo_status(self, result: Accepted) -> int:
        """Request the photo of a result, check whose it is, and return the answer's status."""
        answer = Visitor(self.url, self._trusted).ask(f"{result.address}/photo.jpg")
        if answer.status == 200:
            difference = np.abs(mean_colour(answer.body) - self._colours[result.visitor]).max()
            if difference > MAX_COLOUR_DIFFERENCE:
                self.mixed_up.append(result)
        return answer.status

    def photo_statuses(self) -> set[int]:
        """The statuses with which the photos of all accepted uploads are answered now."""
        return {self.photo_status(result) for result in self.accepted}


def mean_colour(photo: bytes) -> np.ndarray:
    pixels: np.ndarray = np.asarray(Image.open(BytesIO(photo)).convert("RGB"))
    return pixels.mean(axis=(0, 1))
