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
        """Whether either verdict is malignant; a benign one does not outweigh it."""
        return any(photo.result.verdict == "malignant" for photo in self.photos)

    @property
    def outcome(self) -> str:
        """One outcome for both: "malignant" if either is; else that of the later photo."""
        return "malignant" if self.malignant else self.later.result.verdict or "cannot_judge"

    @property
    def uncalibrated(self) -> bool:
        return any(p.result.verdict and not p.result.calibrated for p in self.photos)
