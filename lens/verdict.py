"""Pixels and a network in, a verdict out, or the reasons why there is none."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageStat

from lens.card import Card, OperatingPoint
from lens.engine import Engine

# Limits of the plain checks, in grey levels of the 500 px image. Among 2,041 lesions of the train
# split (every phone photo, every fifth of the rest) the mean was 48-232, the deviation at least 5.2
# and the edges at least 0.28 but for one phone photo at 0.17: one of them is refused.
DARKEST_MEAN = 30.0
BRIGHTEST_MEAN = 240.0
FLATTEST_DEVIATION = 4.0
SOFTEST_EDGES = 0.24

# Quarter turns, mirrored: opposite turns first, for two of these come nearest to the mean of all.
_TURNS = tuple((quarter, mirror) for mirror in (False, True) for quarter in (0, 2, 1, 3))

PARTS = (2, 4)
"""Of eight views, so many are looked at before the rest is left out where they leave no doubt."""


class Reason(StrEnum):
    """Why a photo cannot be judged."""

    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    FLAT = "flat"
    BLURRED = "blurred"
    NOT_A_LESION = "not_a_lesion"


@dataclass(frozen=True)
class Verdict:
    """The answer to one photo.

    Attributes:
        status: ``ok``, or ``cannot_judge``.
        verdict: ``benign`` or ``malignant``; None when the photo cannot be judged.
        probability: calibrated p(malignant), 0-1; None when the photo cannot be judged.
        threshold: the probability at and above which the verdict is ``malignant``.
        kind: ``clinical`` or ``dermoscopic``, what the network took the photo for and chose the
            threshold by; None when it does not tell, or was not asked.
        reasons: why the photo cannot be judged; empty otherwise.
        heat_map: float32 (h, w), 0-1, where the network saw evidence for malignant, the strongest
            place 1; None when there is no verdict or the network gives no map.
        views: how many the network looked at; 0 when the plain checks refused the photo.
    """

    status: str
    verdict: str | None
    probability: float | None
    threshold: float
    kind: str | None = None
    reasons: tuple[Reason, ...] = ()
    heat_map: np.ndarray | None = None
    views: int = 0


@dataclass(frozen=True)
class Measurement:
    """What a network says of the n views of one photo that it looked at.

    Attributes:
        logits: float64 (n,), log-odds of malignant, before temperature.
        lesions: float32 (n,), probability that it is a lesion; None if the network does not say.
        heat_maps: float32 (n, h, w), logit of each place; None if the network gives none.
        clinical: float32 (n,), probability that it is a clinical photo; None if the network does
            not say.
    """

    logits: np.ndarray
    lesions: np.ndarray | None
    heat_maps: np.ndarray | None
    clinical: np.ndarray | None = None

    @property
    def kind(self) -> str | None:
        """The kind of photo that the network takes it for, by its mean probability."""
        if self.clinical is None:
            return None
        return "clinical" if self.clinical.mean() >= 0.5 else "dermoscopic"

    @property
    def logit(self) -> float:
        """Mean log-odds of malignant."""
        return float(self.logits.mean())

    @property
    def lesion(self) -> float | None:
        """Mean probability that the photo shows a lesion."""
        return None if self.lesions is None else float(self.lesions.mean())

    @property
    def heat_map(self) -> np.ndarray | None:
        """Mean logit of each place, float32 (h, w)."""
        return None if self.heat_maps is None else self.heat_maps.mean(axis=0)


def judge(image: np.ndarray, engine: Engine, card: Card) -> Verdict:
    """Judge one photo; whatever stands in the way of a verdict is named, never passed over.

    Args:
        image: uint8 (500, 500, 3), from ``lens.images.decode``.
        engine: runs the network.
        card: the network's operating points and views.
    """
    if reasons := photo_faults(image):
        return Verdict("cannot_judge", None, None, card.point(None).threshold, reasons=reasons)
    measured = measure(image, engine, card)
    kind, views = measured.kind, len(measured.logits)
    point = card.point(kind)
    if not np.isfinite(measured.logit):
        raise FloatingPointError(f"expected a finite logit, got {measured.logit}")
    if point.lesion_threshold is not None and not (
        measured.lesion is not None and measured.lesion >= point.lesion_threshold
    ):
        reasons = (Reason.NOT_A_LESION,)
        return Verdict("cannot_judge", None, None, point.threshold, kind, reasons, views=views)
    probability = point.probability(measured.logit)
    verdict = card.labels[1] if probability >= point.threshold else card.labels[0]
    heat_map = _evidence(measured.heat_map)
    return Verdict("ok", verdict, probability, point.threshold, kind, (), heat_map, views)


def photo_faults(image: np.ndarray) -> tuple[Reason, ...]:
    """Plain faults of a photo that need no network: uint8 (500, 500, 3) to reasons."""
    grey = Image.fromarray(image).convert("L")
    levels = ImageStat.Stat(grey)
    if levels.mean[0] < DARKEST_MEAN:
        return (Reason.TOO_DARK,)
    if levels.mean[0] > BRIGHTEST_MEAN:
        return (Reason.TOO_BRIGHT,)
    if levels.stddev[0] < FLATTEST_DEVIATION:
        return (Reason.FLAT,)
    if edge_strength(grey) < SOFTEST_EDGES:
        return (Reason.BLURRED,)
    return ()


def edge_strength(grey: Image.Image) -> float:
    """Mean change, in grey levels, that blurring makes at half the size: low where blurred already.

    Of validation's photos blurred by a Gaussian of 3, 4 and 5 px it finds 75, 93 and 98 %, at one
    false refusal in 1,947. A Gaussian of 2 px at full size found 77, 91 and 96 % in six times the
    time (3.7 ms, not 0.6).
    """
    half = grey.reduce(2)
    soft = half.filter(ImageFilter.BoxBlur(1))
    return float(ImageStat.Stat(ImageChops.difference(half, soft)).mean[0])


def measure(image: np.ndarray, engine: Engine, card: Card) -> Measurement:
    """Run a network on the views of one photo: as it is, or all flips and quarter turns.

    Of eight views two are looked at first, then two more, then the rest: no more of them once their
    mean is further from the threshold than the card's margin, each of them says lesion, and all
    say the same kind of photo.

    Args:
        image: uint8 (500, 500, 3).
        engine: runs the network.
        card: its views, margins and operating points.
    """
    first, *later = (*PARTS, card.views) if card.margins else (card.views,)
    measured = _look(image, engine, _TURNS[:first])
    for views, margin in zip(later, card.margins, strict=True):
        if _leaves_no_doubt(measured, margin, card.point(measured.kind)):
            break
        measured = _join(measured, _look(image, engine, _TURNS[len(measured.logits) : views]))
    return measured


def _look(image: np.ndarray, engine: Engine, turns: tuple[tuple[int, bool], ...]) -> Measurement:
    views = np.empty((len(turns), *image.shape), np.uint8)
    for view, turn in zip(views, turns, strict=True):
        turned = _turn(image, *turn)
        if turned.strides[1] == image.strides[1]:  # Whole rows: 0.02 ms of CPU.
            view[...] = turned
        else:  # A channel at a time: 0.2 ms, all three bytes together over 1.
            for channel in range(image.shape[-1]):
                view[..., channel] = turned[..., channel]
    outputs = engine.run(views)
    p = np.clip(outputs.malignant.astype(np.float64), 1e-7, 1 - 1e-7)
    maps = outputs.heat_map
    if maps is not None:
        maps = np.stack([_turn_back(m, *turn) for m, turn in zip(maps, turns, strict=True)])
    return Measurement(np.log(p / (1 - p)), outputs.lesion, maps, outputs.clinical)


def _join(one: Measurement, other: Measurement) -> Measurement:
    def both(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
        return None if a is None or b is None else np.concatenate([a, b])

    logits = np.concatenate([one.logits, other.logits])
    return Measurement(
        logits,
        both(one.lesions, other.lesions),
        both(one.heat_maps, other.heat_maps),
        both(one.clinical, other.clinical),
    )


def _leaves_no_doubt(measured: Measurement, margin: float, point: OperatingPoint) -> bool:
    if abs(measured.logit - point.threshold_logit) <= margin:
        return False
    if measured.clinical is not None and len(set(measured.clinical >= 0.5)) > 1:
        return False
    lesions = measured.lesions
    return point.lesion_threshold is None or (
        lesions is not None and bool((lesions >= point.lesion_threshold).all())
    )


def _turn(image: np.ndarray, quarters: int, mirror: bool) -> np.ndarray:
    return np.rot90(image[:, ::-1] if mirror else image, quarters)


def _turn_back(image: np.ndarray, quarters: int, mirror: bool) -> np.ndarray:
    turned = np.rot90(image, -quarters)
    return turned[:, ::-1] if mirror else turned


def _evidence(heat_map: np.ndarray | None) -> np.ndarray | None:
    if heat_map is None:
        return None
    positive = np.maximum(heat_map, 0).astype(np.float32)
    return positive / max(float(positive.max()), 1e-6)
