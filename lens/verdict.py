"""Judge a decoded photo: run the network, and give a verdict or the reasons why there is none."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageStat

from lens.arrays import Floats, Pixels
from lens.card import Card, OperatingPoint
from lens.engine import Engine

# Limits for usable photos, in grey levels of the 500 px image. In 2,041 photos of the train split
# (every phone photo, every fifth of the rest) the mean was 48-232, the deviation at least 5.2, and
# the edge strength at least 0.28 except for one phone photo with 0.17, which is refused.
MIN_MEAN = 30.0
MAX_MEAN = 240.0
MIN_DEVIATION = 4.0
MIN_EDGE_STRENGTH = 0.24

# Number of quarter turns, and whether mirrored. The mean of two opposite turns is closest to the
# mean of all eight, so opposite turns come first.
_TURNS = tuple((quarters, mirror) for mirror in (False, True) for quarters in (0, 2, 1, 3))

EARLY_STOP_VIEWS = (2, 4)
"""Numbers of views, out of eight, after which the others are skipped if the result is clear."""


class Reason(StrEnum):
    """Why a photo cannot be judged."""

    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    FLAT = "flat"
    BLURRED = "blurred"
    NOT_A_LESION = "not_a_lesion"


@dataclass(frozen=True)
class Verdict:
    """The result for one photo.

    Attributes:
        status: ``ok``, or ``cannot_judge``.
        verdict: ``benign`` or ``malignant``; None when the photo cannot be judged.
        probability: calibrated p(malignant), 0-1; None when the photo cannot be judged.
        threshold: the probability at and above which the verdict is ``malignant``.
        kind: ``clinical`` or ``dermoscopic``, as the network classified the photo, which decides
            the threshold; None if the network has no such output, or was not run.
        reasons: why the photo cannot be judged; empty otherwise.
        heat_map: float32 (h, w), evidence for malignant, with 1 as its maximum; None without a
            verdict, or if the network has no such output.
        views: how many views the network was run on; 0 if it was not run.
    """

    status: str
    verdict: str | None
    probability: float | None
    threshold: float
    kind: str | None = None
    reasons: tuple[Reason, ...] = ()
    heat_map: Floats | None = None
    views: int = 0


@dataclass(frozen=True)
class Measurement:
    """The network's results for n views of one photo; None for outputs that it does not have.

    Attributes:
        logits: float64 (n,), log-odds of malignant, uncalibrated.
        lesions: float32 (n,), probability that the photo shows a lesion.
        heat_maps: float32 (n, h, w), logit at each position.
        clinical: float32 (n,), probability that the photo is clinical.
    """

    logits: Floats
    lesions: Floats | None
    heat_maps: Floats | None
    clinical: Floats | None = None

    @property
    def kind(self) -> str | None:
        """The kind of the photo, by the mean probability."""
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
    def heat_map(self) -> Floats | None:
        """Mean logit at each position, float32 (h, w)."""
        return None if self.heat_maps is None else self.heat_maps.mean(axis=0)


def judge(image: Pixels, engine: Engine, card: Card) -> Verdict:
    """Judge one photo. A photo that cannot be judged never gets a verdict.

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


def photo_faults(image: Pixels) -> tuple[Reason, ...]:
    """Faults of a photo, uint8 (500, 500, 3), that can be found without the network."""
    grey = Image.fromarray(image).convert("L")
    levels = ImageStat.Stat(grey)
    if levels.mean[0] < MIN_MEAN:
        return (Reason.TOO_DARK,)
    if levels.mean[0] > MAX_MEAN:
        return (Reason.TOO_BRIGHT,)
    if levels.stddev[0] < MIN_DEVIATION:
        return (Reason.FLAT,)
    if edge_strength(grey) < MIN_EDGE_STRENGTH:
        return (Reason.BLURRED,)
    return ()


def edge_strength(grey: Image.Image) -> float:
    """Mean difference, in grey levels, between the photo at half size and a blurred copy of it.

    It is low if the photo is blurred. With this limit, 75, 93 and 98 % of validation photos blurred
    by a Gaussian of 3, 4 and 5 px are refused, and 1 of 1,947 sharp ones. Comparing at full size
    found no more (77, 91 and 96 %) and took 3.7 ms instead of 0.6.
    """
    half = grey.reduce(2)
    soft = half.filter(ImageFilter.BoxBlur(1))
    return float(ImageStat.Stat(ImageChops.difference(half, soft)).mean[0])


def measure(image: Pixels, engine: Engine, card: Card) -> Measurement:
    """Run a network on one photo, or on all its flips and quarter turns.

    If the card has margins, the network is run on two of eight views, then on two more, then on the
    rest. It stops as soon as the result is clear: the mean is further from the threshold than the
    margin, every view shows a lesion, and all views are of the same kind.
    """
    first, *later = (*EARLY_STOP_VIEWS, card.views) if card.margins else (card.views,)
    measured = _run(image, engine, _TURNS[:first])
    for views, margin in zip(later, card.margins, strict=True):
        if _is_clear(measured, margin, card.point(measured.kind)):
            break
        measured = _join(measured, _run(image, engine, _TURNS[len(measured.logits) : views]))
    return measured


def _run(image: Pixels, engine: Engine, turns: tuple[tuple[int, bool], ...]) -> Measurement:
    views = np.empty((len(turns), *image.shape), np.uint8)
    for view, turn in zip(views, turns, strict=True):
        turned = _turned(image, *turn)
        if turned.strides[1] == image.strides[1]:  # Rows remain rows: 0.02 ms of CPU.
            view[...] = turned
        else:  # One channel at a time takes 0.2 ms, all three together more than 1 ms.
            for channel in range(image.shape[-1]):
                view[..., channel] = turned[..., channel]
    outputs = engine.run(views)
    p = np.clip(outputs.malignant.astype(np.float64), 1e-7, 1 - 1e-7)
    maps = outputs.heat_map
    if maps is not None:
        maps = np.stack([_turned_back(m, *turn) for m, turn in zip(maps, turns, strict=True)])
    return Measurement(np.log(p / (1 - p)), outputs.lesion, maps, outputs.clinical)


def _join(one: Measurement, other: Measurement) -> Measurement:
    def concatenated(a: Floats | None, b: Floats | None) -> Floats | None:
        return None if a is None or b is None else np.concatenate([a, b])

    logits = np.concatenate([one.logits, other.logits])
    return Measurement(
        logits,
        concatenated(one.lesions, other.lesions),
        concatenated(one.heat_maps, other.heat_maps),
        concatenated(one.clinical, other.clinical),
    )


def _is_clear(measured: Measurement, margin: float, point: OperatingPoint) -> bool:
    if abs(measured.logit - point.threshold_logit) <= margin:
        return False
    if measured.clinical is not None and len(set(measured.clinical >= 0.5)) > 1:
        return False
    lesions = measured.lesions
    return point.lesion_threshold is None or (
        lesions is not None and bool((lesions >= point.lesion_threshold).all())
    )


def _turned(image: Pixels, quarters: int, mirror: bool) -> Pixels:
    return np.rot90(image[:, ::-1] if mirror else image, quarters)


def _turned_back(heat_map: Floats, quarters: int, mirror: bool) -> Floats:
    turned = np.rot90(heat_map, -quarters)
    return turned[:, ::-1] if mirror else turned


def _evidence(heat_map: Floats | None) -> Floats | None:
    """Scale the positive part of a heat map to a maximum of 1."""
    if heat_map is None:
        return None
    positive = np.maximum(heat_map, 0).astype(np.float32)
    return positive / max(float(positive.max()), 1e-6)
