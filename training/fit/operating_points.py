"""Fit the operating points of a model's card, by kind of photo, on validation measurements."""

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
"""Sensitivity on validation that sets the threshold: at most one malignant lesion in 20 missed."""

TARGET_SENSITIVITY_OF_A_PART = 0.90
"""Sensitivity that each source and melanoma alone must reach as well. Without it a source that is
easy, such as keratoses, pays for melanomas missed in another."""

MIN_MALIGNANT = 20
"""Malignant validation lesions that a source, melanoma or a kind of photo needs to count alone: of
20 the share found has a standard error of 7 percentage points."""

FALSE_REFUSALS = {"clinical": 0.01, "dermoscopic": 0.005}
"""Share of validation lesions that the lesion output may refuse: half of what is acceptable (2 and
1 %), since new photos differ from validation."""

ROUNDING = 1e-3
"""Logits by which the threshold stands below the lesion that sets it: float32 rounds differently on
other processors, and a threshold exactly on that lesion missed it in half of 400 simulated runs."""

REFUSED_LOGIT = -14.0
"""Stands for a lesion that is refused; it counts as not found at any threshold in use."""


@dataclass(frozen=True)
class Measured:
    """What a network says of the validation photos, one entry a photo.

    Attributes:
        logits: float64 (n,), mean log-odds of malignant over the views.
        lesions: float64 (n,), p(lesion); None if the network does not say.
        kinds: str (n,), the kind that the network takes the photo for; "" if it does not say.
        judged: bool (n,), whether the photo passes the checks that need no network.
        rows: the photos' rows.
    """

    logits: NDArray[np.float64]
    lesions: NDArray[np.float64] | None
    kinds: NDArray[np.str_]
    judged: NDArray[np.bool_]
    rows: list[Row]

    @classmethod
    def of(
        cls, measurements: list[Measurement], judged: NDArray[np.bool_], rows: list[Row]
    ) -> "Measured":
        """Collect the measurements of the rows' photos."""
        lesions = [one.lesion for one in measurements if one.lesion is not None]
        return cls(
            np.array([one.logit for one in measurements], np.float64),
            np.array(lesions, np.float64) if len(lesions) == len(measurements) else None,
            np.array([one.kind or "" for one in measurements]),
            judged,
            rows,
        )

    def part(self, chosen: NDArray[np.bool_]) -> "Measured":
        """Some of the photos."""
        rows = [row for row, take in zip(self.rows, chosen, strict=True) if take]
        lesions = None if self.lesions is None else self.lesions[chosen]
        return Measured(self.logits[chosen], lesions, self.kinds[chosen], self.judged[chosen], rows)

    @property
    def malignant(self) -> NDArray[np.bool_]:
        """Whether each lesion is malignant, bool (n,)."""
        return np.array([row.malignant == 1 for row in self.rows], bool)


def fit_operating_points(measured: Measured) -> dict[str, OperatingPoint]:
    """One operating point for each kind of photo.

    Photos are taken by the kind that the network takes them for, as they are when served. A kind
    with fewer than ``MIN_MALIGNANT`` lesions of a class shares the point fitted on all photos.
    """
    points = for_all_kinds(_fit_point(measured, _refusals(None)))
    for kind in PHOTO_KINDS:
        part = measured.part(measured.kinds == kind)
        malignant = int(part.malignant.sum())
        if min(malignant, len(part.rows) - malignant) >= MIN_MALIGNANT:
            points[kind] = _fit_point(part, _refusals(kind))
    return points


def fit_platt(logits: NDArray[np.float64], labels: NDArray[np.bool_]) -> tuple[float, float]:
    """Temperature and offset that minimise the log loss of ``expit((logits + offset) / T)``.

    Platt scaling (Platt 1999). The targets are Platt's smoothed ones, a little inside 0 and 1: with
    plain labels the best temperature for a perfect separation would be zero.
    """
    malignant = int(labels.sum())
    targets = np.where(
        labels == 1, (malignant + 1) / (malignant + 2), 1 / (len(labels) - malignant + 2)
    )

    def loss(parameters: NDArray[np.float64]) -> float:
        scaled = (logits + parameters[1]) / math.exp(parameters[0])
        return float(np.mean(np.logaddexp(0, scaled) - targets * scaled))

    found = minimize(loss, np.zeros(2), method="Nelder-Mead")
    return math.exp(found.x[0]), float(found.x[1])


def threshold_at(
    logits: NDArray[np.float64], malignant: NDArray[np.bool_], sensitivity: float
) -> float:
    """The highest threshold at which at least ``sensitivity`` of the malignant are found."""
    ordered = np.sort(logits[malignant])
    missed = math.floor((1 - sensitivity) * len(ordered))
    return float(ordered[missed])


def _fit_point(measured: Measured, refusals: float) -> OperatingPoint:
    temperature, offset = fit_platt(measured.logits, measured.malignant)
    lesion_threshold = None
    found = measured.judged
    if measured.lesions is not None:
        lesion_threshold = float(np.quantile(measured.lesions, refusals))
        found = found & (measured.lesions >= lesion_threshold)
    logits = np.where(found, measured.logits, REFUSED_LOGIT)
    threshold, rule = _choose_threshold(logits, measured)
    return OperatingPoint(
        threshold=float(expit((threshold - ROUNDING + offset) / temperature)),
        threshold_rule=rule,
        temperature=temperature,
        offset=offset,
        lesion_threshold=lesion_threshold,
    )


def _choose_threshold(logits: NDArray[np.float64], measured: Measured) -> tuple[float, str]:
    """The highest logit that reaches every target, and the rule in words."""
    threshold = threshold_at(logits, measured.malignant, TARGET_SENSITIVITY)
    rule = f"highest with {TARGET_SENSITIVITY:.0%} sensitivity on the validation split"
    names = []
    for name, part in _parts(measured.rows):
        if part.sum() >= MIN_MALIGNANT:
            names.append(name)
            at = threshold_at(logits, part, TARGET_SENSITIVITY_OF_A_PART)
            threshold = min(threshold, at)
    if names:
        rule += f", and {TARGET_SENSITIVITY_OF_A_PART:.0%} in each of: {', '.join(names)}"
    return threshold, rule


def _parts(rows: list[Row]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The malignant lesions of each source, and the melanomas: a name and bool (n,)."""
    for source in sorted({row.source for row in rows}):
        yield source, np.array([row.source == source and row.malignant == 1 for row in rows])
    yield "melanoma", np.array([row.diagnosis == "melanoma" for row in rows])


def _refusals(kind: str | None) -> float:
    return min(FALSE_REFUSALS.values()) if kind is None else FALSE_REFUSALS[kind]
