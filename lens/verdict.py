"""Pixels and a network in, a verdict out, or the reasons why there is none."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageStat

from lens.artifact import Card
from lens.engine import Engine

# Limits of the plain checks, in grey levels of the 500 px image. Among 2,041 lesions of the train
# split (every phone photo, every fifth of the rest) the mean was 48-232, the deviation at least 5.2
# and the edges at least 0.20 but for one phone photo at 0.09: one of them is refused.
DARKEST_MEAN = 30.0
BRIGHTEST_MEAN = 240.0
FLATTEST_DEVIATION = 4.0
SOFTEST_EDGES = 0.15


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
        reasons: why the photo cannot be judged; empty otherwise.
        heat_map: float32 (h, w), 0-1, where the network saw evidence for malignant, the strongest
            place 1; None when there is no verdict or the network gives no map.
    """

    status: str
    verdict: str | None
    probability: float | None
    threshold: float
    reasons: tuple[Reason, ...] = ()
    heat_map: np.ndarray | None = None


@dataclass(frozen=True)
class Measurement:
    """What a network says of one photo, averaged over its views.

    Attributes:
        logit: mean log-odds of malignant, before temperature.
        lesion: mean probability that the photo shows a lesion; None if the network does not say.
        heat_map: float32 (h, w), mean logit of each place; None if the network gives none.
    """

    logit: float
    lesion: float | None
    heat_map: np.ndarray | None


def judge(image: np.ndarray, engine: Engine, card: Card) -> Verdict:
    """Judge one photo; whatever stands in the way of a verdict is named, never passed over.

    Args:
        image: uint8 (500, 500, 3), from ``lens.images.decode``.
        engine: runs the network.
        card: the network's threshold, temperature and number of views.
    """
    if reasons := photo_faults(image):
        return Verdict("cannot_judge", None, None, card.threshold, reasons)
    measured = measure(image, engine, card.views)
    if not np.isfinite(measured.logit):
        raise FloatingPointError(f"expected a finite logit, got {measured.logit}")
    if card.lesion_threshold is not None and not (
        measured.lesion is not None and measured.lesion >= card.lesion_threshold
    ):
        return Verdict("cannot_judge", None, None, card.threshold, (Reason.NOT_A_LESION,))
    probability = float(1 / (1 + np.exp(-measured.logit / card.temperature)))
    verdict = card.labels[1] if probability >= card.threshold else card.labels[0]
    return Verdict(
        "ok", verdict, probability, card.threshold, heat_map=_evidence(measured.heat_map)
    )


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
    """Mean change, in grey levels, that a small Gaussian blur makes: low where already blurred."""
    soft = grey.filter(ImageFilter.GaussianBlur(2))
    return float(ImageStat.Stat(ImageChops.difference(grey, soft)).mean[0])


def measure(image: np.ndarray, engine: Engine, views: int) -> Measurement:
    """Run a network on the views of one photo and average what it says.

    Args:
        image: uint8 (500, 500, 3).
        engine: runs the network.
        views: 1 for the photo as it is, 8 for all flips and quarter turns.
    """
    turns = [(quarter, mirror) for mirror in (False, True) for quarter in range(4)][:views]
    # Turned by whole pixels, not by their three bytes: 9 ms of CPU for eight views, not 17.
    pixels = np.ascontiguousarray(image).view("V3")[..., 0]
    turned = np.stack([_turn(pixels, *turn) for turn in turns])
    outputs = engine.run(turned[..., None].view(np.uint8))
    p = np.clip(outputs.malignant.astype(np.float64), 1e-7, 1 - 1e-7)
    heat_map = None
    if outputs.heat_map is not None:
        maps = [_turn_back(m, *turn) for m, turn in zip(outputs.heat_map, turns, strict=True)]
        heat_map = np.mean(maps, axis=0)
    lesion = None if outputs.lesion is None else float(outputs.lesion.mean())
    return Measurement(float(np.log(p / (1 - p)).mean()), lesion, heat_map)


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
