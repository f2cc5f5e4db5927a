"""Two photos of one spot, and what may be said of them together."""

from dataclasses import dataclass
from datetime import date

from app.results import Result


@dataclass(frozen=True)
class Photo:
    """One of the two photos: its result, the result's id, and the day on which it was taken."""

    key: str
    result: Result
    taken: date | None


@dataclass(frozen=True)
class Pair:
    """Both photos, and what may be said of them together."""

    earlier: Photo
    later: Photo

    @property
    def photos(self) -> tuple[Photo, Photo]:
        return self.earlier, self.later

    @property
    def malignant(self) -> bool:
        """One malignant verdict is enough: the other takes nothing from it."""
        return any(photo.result.verdict == "malignant" for photo in self.photos)

    @property
    def outcome(self) -> str:
        """What to do is told by the worst verdict; a later photo without one is no good news."""
        return "malignant" if self.malignant else self.later.result.verdict or "cannot_judge"

    @property
    def uncalibrated(self) -> bool:
        return any(p.result.verdict and not p.result.calibrated for p in self.photos)
