"""Results (photo, verdict, heat map): kept for a few minutes, never written to disk."""

import secrets
import time
from dataclasses import asdict, dataclass
from datetime import date
from typing import ClassVar, TypeVar

from cachelib.base import BaseCache


class StoreUnavailable(Exception):
    """The store is full or cannot be reached, so nothing was kept."""


LARGE_RESULT_BYTES = 200_000
"""Size of a large result's pictures. A store without room for one counts as full."""


@dataclass(frozen=True)
class Result:
    """What the result page shows. It contains only 500 x 500 pixels of the uploaded file.

    Attributes:
        verdict: "benign", "malignant", or None if the photo cannot be judged.
        probability: calibrated p(malignant) in [0, 1], or None.
        threshold: probability at and above which the verdict is "malignant".
        kind: "clinical" or "dermoscopic", as the model classified the photo; None if unknown.
        reasons: stable codes of why the photo cannot be judged.
        photo: JPEG made from the decoded pixels, without EXIF.
        heat_map: PNG with transparency to lay over the photo, or None.
        created: seconds since the epoch.
        model: name of the model that judged the photo. This and the following fields are stored
            because another model may be served by the time the result is shown.
        sha256: of that model's file, in hexadecimal.
        calibrated: whether ``probability`` is calibrated; otherwise it is only a score.
        sensitivity: of that model on test photos of this kind, in [0, 1]; None if not measured.
        specificity: the same.
        melanomas_found: share of melanomas found in these test photos; None if not measured.
    """

    verdict: str | None
    probability: float | None
    threshold: float
    kind: str | None
    reasons: tuple[str, ...]
    photo: bytes
    heat_map: bytes | None
    created: float
    model: str
    sha256: str
    calibrated: bool
    sensitivity: float | None
    specificity: float | None
    melanomas_found: float | None


@dataclass(frozen=True)
class Comparison:
    """The ids of two results of one spot, and the days on which the photos were taken.

    ``created`` is that of the older result: the comparison expires with it.
    """

    earlier: str
    later: str
    earlier_taken: date | None
    later_taken: date | None
    created: float


Entry = TypeVar("Entry", Result, Comparison)


class Results:
    """Keeps results under unguessable ids in a cachelib cache; ``app.stores`` has subclasses."""

    failures: ClassVar[tuple[type[Exception], ...]] = (OSError,)
    """Exceptions that the cache raises when it is full or cannot be reached."""

    def __init__(self, cache: BaseCache, lifetime: int) -> None:
        self._cache = cache
        self.lifetime = lifetime

    def put(self, result: Result | Comparison) -> str:
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
        """The result; None if it was deleted, expired or never existed."""
        return self._get(key, Result)

    def get_comparison(self, key: str) -> Comparison | None:
        """The comparison; None if it was deleted, expired or never existed."""
        return self._get(key, Comparison)

    def _get(self, key: str, entry_type: type[Entry]) -> Entry | None:
        try:
            stored = self._cache.get(key)
        except self.failures as error:
            raise StoreUnavailable(str(error)) from error
        try:
            entry = entry_type(**stored)
        except TypeError:  # It is None, damaged, or of another type or version.
            return None
        return entry if self.seconds_left(entry) > 0 else None

    def delete(self, key: str) -> None:
        try:
            deleted = self._cache.delete(key)
            if not deleted and self._cache.has(key):
                raise StoreUnavailable("the result could not be deleted")
        except self.failures as error:
            raise StoreUnavailable(str(error)) from error

    def seconds_left(self, result: Result | Comparison) -> float:
        return result.created + self.lifetime - time.time()

    def check(self) -> None:
        """Raise StoreUnavailable unless an entry can be stored, read and deleted now."""
        probe = Comparison("x" * LARGE_RESULT_BYTES, "", None, None, time.time())
        key = self.put(probe)
        if self.get_comparison(key) != probe:
            raise StoreUnavailable("the store of results does not return what was stored")
        self.delete(key)

    def _make_room(self) -> None:
        """Prepare the cache for another entry. Raise StoreUnavailable if there is no room."""


@dataclass(frozen=True)
class Store:
    """The results, and whatever else the workers share."""

    results: Results
    secret_key: str
    rate_limit_url: str
