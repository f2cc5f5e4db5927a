"""Two photos of one spot, and the conclusion from both verdicts."""

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
    """The earlier and the later photo."""

    earlier: Photo
    later: Photo

    @property
    def photos(self) -> tuple[Photo, Photo]:
        return self.earlier, self.later

    @property
    def malignant(self) -> bool:
        """Whether a photo is malignant; a benign verdict on the other does not change that."""
        return any(photo.result.verdict == "malignant" for photo in self.photos)

    @property
    def outcome(self) -> str:
        """The worst verdict; without a verdict on the later photo, not "benign"."""
        return "malignant" if self.malignant else self.later.result.verdict or "cannot_judge"

    @property
    def uncalibrated(self) -> bool:
        return any(p.result.verdict and not p.result.calibrated for p in self.photos)
