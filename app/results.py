"""Short-lived results: a photo, its verdict and its heat map, for a few minutes, never on disk."""

import secrets
import time
from dataclasses import asdict, dataclass
from typing import ClassVar

from cachelib.base import BaseCache


class StoreUnavailable(Exception):
    """The store is full or cannot be reached: nothing was kept."""


LARGE = 200_000
"""Bytes of a large result's pictures: with room for less, a store is as good as full."""


@dataclass(frozen=True)
class Result:
    """What the result page shows. It holds nothing of the file but its 500 x 500 pixels.

    Attributes:
        status: "ok" or "cannot_judge".
        verdict: "benign", "malignant", or None.
        probability: calibrated p(malignant) in [0, 1], or None.
        threshold: probability at and above which the verdict is "malignant".
        reasons: stable codes that say why the photo cannot be judged.
        photo: JPEG made from the decoded pixels, so that no EXIF is in it.
        heat_map: PNG with transparency to lay over the photo, or None.
        created: seconds since the epoch.
        model: name of the model that judged. It stands here, with what follows, since another
            model may be served where the result is shown.
        sha256: of that model's file, in hexadecimal.
        calibrated: whether ``probability`` is a chance; else it is only a score.
        sensitivity: that model's, measured on test photos, in [0, 1]; None if it was not.
        specificity: the same.
    """

    status: str
    verdict: str | None
    probability: float | None
    threshold: float
    reasons: tuple[str, ...]
    photo: bytes
    heat_map: bytes | None
    created: float
    model: str
    sha256: str
    calibrated: bool
    sensitivity: float | None
    specificity: float | None


class Results:
    """Results by unguessable id, over any cachelib cache; ``app.stores`` has two."""

    failures: ClassVar[tuple[type[Exception], ...]] = (OSError,)
    """What the cache raises where it is full or cannot be reached."""

    def __init__(self, cache: BaseCache, lifetime: int) -> None:
        self._cache = cache
        self.lifetime = lifetime

    def put(self, result: Result) -> str:
        """Keep ``result`` and return its id (128 random bits).

        Raises:
            StoreUnavailable: it could not be kept.
        """
        key = secrets.token_urlsafe(16)
        self._make_room()
        try:
            kept = self._cache.set(key, asdict(result), timeout=self.lifetime)
        except self.failures as error:
            raise StoreUnavailable(str(error)) from error
        if not kept:
            raise StoreUnavailable("the store of results is full")
        return key

    def get(self, key: str) -> Result | None:
        """The result, or None when it is deleted, expired or never was."""
        try:
            found = self._cache.get(key)
        except self.failures as error:
            raise StoreUnavailable(str(error)) from error
        try:
            result = Result(**found)
        except TypeError:  # None; or an entry of another version, or damaged: as good as none.
            return None
        return result if self.seconds_left(result) > 0 else None

    def delete(self, key: str) -> None:
        try:
            deleted = self._cache.delete(key)
            if not deleted and self._cache.has(key):
                raise StoreUnavailable("the result could not be deleted")
        except self.failures as error:
            raise StoreUnavailable(str(error)) from error

    def seconds_left(self, result: Result) -> float:
        return result.created + self.lifetime - time.time()

    def check(self) -> None:
        """Raise StoreUnavailable unless something can be kept, read and deleted now."""
        probe = Result(
            status="cannot_judge",
            verdict=None,
            probability=None,
            threshold=0.5,
            reasons=(),
            photo=bytes(LARGE),
            heat_map=None,
            created=time.time(),
            model="",
            sha256="",
            calibrated=False,
            sensitivity=None,
            specificity=None,
        )
        key = self.put(probe)
        if self.get(key) != probe:
            raise StoreUnavailable("the store of results does not give back what was put")
        self.delete(key)

    def _make_room(self) -> None:
        pass


@dataclass(frozen=True)
class Store:
    """Where results live, and what the workers share beside them."""

    results: Results
    secret_key: str
    rate_limit_url: str
