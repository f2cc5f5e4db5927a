"""Fit a model's operating points, one for each kind of photo, on validation measurements."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from lens.card import PHOTO_KINDS, OperatingPoint, for_all_kinds
from lens.verdict import Measurement
from training.datasets.manifest import Row

TARGET_SENSITIVITY = 0.95
"""Sensitivity on validation that determines the threshold: at most one malignant lesion in 20 is
missed."""

TARGET_SENSITIVITY_OF_A_PART = 0.90
"""Sensitivity that each source, and the melanomas alone, must also reach. Without this condition
easy lesions in one source, such as keratoses, would compensate for melanomas missed in another."""

MIN_MALIGNANT = 20
"""Malignant validation lesions that a source, the melanomas, or a kind of photo need for a target
of their own: with 20 the standard error of the sensitivity is 7 percentage points."""

MAX_FALSE_REFUSALS = {"clinical": 0.01, "dermoscopic": 0.005}
"""Share of validation lesions that the lesion output may refuse, by kind of photo. It is half of
what is acceptable (2 and 1 %), because new photos differ from validation."""

THRESHOLD_MARGIN_LOGITS = 1e-3
"""The threshold is this far below the logit of the lesion that determines it. Rounding in float32
differs between processors, and without a margin that lesion was missed in half of 400 simulated
runs."""

REFUSED_LOGIT = -14.0
"""Logit that represents a refused lesion, so that it counts as missed at every threshold."""


@dataclass(frozen=True)
class ValidationMeasurements:
    """The outputs of a network for the n validation photos.

    Attributes:
        logits: float64 (n,), mean logit of malignant over the views.
        lesions: float64 (n,), p(lesion); None if the network has no such output.
        kinds: str (n,), the predicted kind of photo; "" if the network has no such output.
        usable: bool (n,), whether the photo passes the checks that need no network.
        rows: the photos' rows.
    """

    logits: NDArray[np.float64]
    lesions: NDArray[np.float64] | None
    kinds: NDArray[np.str_]
    usable: NDArray[np.bool_]
    rows: list[Row]

    @classmethod
    def collect(
        cls, measurements: list[Measurement], usable: NDArray[np.bool_], rows: list[Row]
    ) -> "ValidationMeasurements":
        """Collect the measurements of single photos."""
        lesions = [one.lesion for one in measurements if one.lesion is not None]
        return cls(
            np.array([one.logit for one in measurements], np.float64),
            np.array(lesions, np.float64) if len(lesions) == len(measurements) else None,
            np.array([one.kind or "" for one in measurements]),
            usable,
            rows,
        )

    def part(self, chosen: NDArray[np.bool_]) -> "ValidationMeasurements":
        """The photos where ``chosen``, bool (n,), is true."""
        rows = [row for row, take in zip(self.rows, chosen, strict=True) if take]
        lesions = None if self.lesions is None else self.lesions[chosen]
        return ValidationMeasurements(
            self.logits[chosen], lesions, self.kinds[chosen], self.usable[chosen], rows
        )

    @property
    def malignant(self) -> NDArray[np.bool_]:
        """Whether each lesion is malignant, bool (n,)."""
        return np.array([row.malignant == 1 for row in self.rows], bool)


def fit_operating_points(measured: ValidationMeasurements) -> dict[str, OperatingPoint]:
    """Fit an operating point for each kind of photo.

    The photos are grouped by the kind that the network predicts, because serving does the same. A
    kind with fewer than ``MIN_MALIGNANT`` lesions of a class gets the point fitted on all photos.
    """
    points = for_all_kinds(_fit_point(measured, min(MAX_FALSE_REFUSALS.values())))
    for kind in PHOTO_KINDS:
        part = measured.part(measured.kinds == kind)
        malignant = int(part.malignant.sum())
        if min(malignant, len(part.rows) - malignant) >= MIN_MALIGNANT:
            points[kind] = _fit_point(part, MAX_FALSE_REFUSALS[kind])
    return points


def fit_platt(logits: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit the temperature and offset of a calibration by Platt scaling (Platt 1999).

    They minimise the log loss of ``expit((logits + offset) / temperature)``. The targets are
    Platt's smoothed ones, slightly inside 0 and 1: with plain labels, the best temperature for
    perfectly separated classes would be zero.

    Args:
        logits: float64 (n,).
        labels: True for malignant, bool (n,).

    Returns:
        The temperature and the offset.
    """
    malignant = int(labels.sum())
    targets = np.where(
        labels == 1, (malignant + 1) / (malignant + 2), 1 / (len(labels) - malignant + 2)
    )

    def loss(parameters: NDArray[np.float64]) -> float:
        scaled = (logits + parameters[1]) / math.exp(parameters[0])
        return float(np.mean(np.logaddexp(0, scaled) - targets * scaled))

    log_temperature, offset = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return math.exp(log_temperature), float(offset)


def threshold_at(
    logits: NDArray[np.float64], malignant: NDArray[np.bool_], sensitivity: float
) -> float:
    """The highest logit threshold whose sensitivity is at least ``sensitivity``."""
    ordered = np.sort(logits[malignant])
    # Without the addition, rounding gives one miss of 20 at 90 % instead of two.
    missed = math.floor((1 - sensitivity) * len(ordered) + 1e-9)
    return float(ordered[missed])


def _fit_point(measured: ValidationMeasurements, max_refusals: float) -> OperatingPoint:
    temperature, offset = fit_platt(measured.logits, measured.malignant)
    lesion_threshold = None
    accepted = measured.usable
    if measured.lesions is not None:
        lesion_threshold = float(np.quantile(measured.lesions, max_refusals))
        accepted = accepted & (measured.lesions >= lesion_threshold)
    logits = np.where(accepted, measured.logits, REFUSED_LOGIT)
    threshold, rule = _choose_threshold(logits, measured)
    return OperatingPoint(
        threshold=float(expit((threshold - THRESHOLD_MARGIN_LOGITS + offset) / temperature)),
        threshold_rule=rule,
        temperature=temperature,
        offset=offset,
        lesion_threshold=lesion_threshold,
    )


def _choose_threshold(
    logits: NDArray[np.float64], measured: ValidationMeasurements
) -> tuple[float, str]:
    """The highest logit threshold that reaches every target, and the rule in words."""
    threshold = threshold_at(logits, measured.malignant, TARGET_SENSITIVITY)
    rule = f"highest with {TARGET_SENSITIVITY:.0%} sensitivity on the validation split"
    names = []
    for name, part in _parts(measured.rows):
        if part.sum() >= MIN_MALIGNANT:
            names.append(name)
            own = threshold_at(logits, part, TARGET_SENSITIVITY_OF_A_PART)
            threshold = min(threshold, own)
    if names:
        rule += f", and {TARGET_SENSITIVITY_OF_A_PART:.0%} in each of: {', '.join(names)}"
    return threshold, rule


def _parts(rows: list[Row]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Name and mask, bool (n,), of the malignant lesions of each source, and of the melanomas."""
    for source in sorted({row.source for row in rows}):
        yield source, np.array([row.source == source and row.malignant == 1 for row in rows])
    yield "melanoma", np.array([row.diagnosis == "melanoma" for row in rows])
