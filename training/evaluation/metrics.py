"""Figures of a binary verdict, with 95 % intervals from resampling whole groups (lesion, patient).

Photos of one lesion err together, so resampling photos would make the intervals too narrow
(Field and Welsh 2007, the cluster bootstrap).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

import numpy as np
from scipy.stats import beta

RESAMPLES = 2000
BINS = 15
"""Equal bins of the probability for the calibration error (Guo et al. 2017)."""
AT_SENSITIVITY = 0.95
"""Sensitivity at which the specificity of the whole curve is read."""

FEWEST = 10
"""Groups of the scarcer class under which resampling is not believed. Of two patients it has three
things to draw: of 120 simulated tests with 4 melanomas of 2 patients its 95 % interval of the AUC
held the truth in 56 to 65 %."""

REFUSED, BENIGN, MALIGNANT = -1, 0, 1

_AT_ONCE = 100  # resamples in memory together: 100 x 50,000 images are 40 MB

Interval = list[float]
"""Value, low end and high end."""


class Figures(TypedDict):
    """All figures of some lesions.

    Attributes:
        n: lesions.
        malignant: the malignant ones.
        groups: lesions or patients that are resampled as one.
        refused: lesions without a verdict.
        right: right and total, of "benign" and of "malignant".
        auc, sensitivity, specificity, accuracy, specificity_at_95_sensitivity, brier: None where a
            class is missing.
        ece: without an interval, since resampling adds error to it.
    """

    n: int
    malignant: int
    groups: int
    refused: int
    right: dict[str, list[int]]
    auc: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None
    accuracy: Interval | None
    specificity_at_95_sensitivity: Interval | None
    brier: Interval | None
    ece: float


@dataclass(frozen=True)
class Answers:
    """What was answered to n lesions.

    Attributes:
        labels: int (n,), 1 malignant, 0 benign.
        probabilities: float (n,), calibrated p(malignant), of refused lesions too.
        calls: int (n,), MALIGNANT, BENIGN or REFUSED.
        groups: (n,), what is resampled as one.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    calls: np.ndarray
    groups: np.ndarray

    def part(self, chosen: np.ndarray) -> "Answers":
        """The lesions where ``chosen``, bool (n,), is true."""
        return Answers(
            self.labels[chosen],
            self.probabilities[chosen],
            self.calls[chosen],
            self.groups[chosen],
        )


def figures(answers: Answers, seed: int = 0) -> Figures:
    """All figures of some lesions.

    A refused lesion has a probability, which AUC and calibration count, but no verdict: it counts
    neither as found (sensitivity) nor as called benign (specificity).

    Args:
        answers: at least one.
        seed: of the resampling.
    """
    labels, calls = answers.labels, answers.calls
    right = calls == labels
    benign, malignant = labels == 0, labels == 1
    groups = len(np.unique(answers.groups))
    ece = calibration_error(answers, np.ones((1, len(labels))))[0]
    return {
        "n": len(labels),
        "malignant": int(labels.sum()),
        "groups": groups,
        "refused": int((calls == REFUSED).sum()),
        "right": {
            name: [int(right[chosen].sum()), int(chosen.sum())]
            for name, chosen in (("benign", benign), ("malignant", malignant))
        },
        "auc": curve_interval(area_under_curve, answers, seed),
        "sensitivity": proportion(right[malignant], answers.groups[malignant], seed),
        "specificity": proportion(right[benign], answers.groups[benign], seed),
        "accuracy": proportion(right, answers.groups, seed),
        "specificity_at_95_sensitivity": curve_interval(specificity_at_sensitivity, answers, seed),
        "brier": interval(partial(brier, answers), answers.groups, seed, trials=groups),
        "ece": round(float(ece), 4),
    }


def curve_interval(
    figure: Callable[[Answers, np.ndarray], np.ndarray], answers: Answers, seed: int
) -> Interval | None:
    """The ``interval`` of a figure that needs both classes, such as ``area_under_curve``."""
    scarcer = min(len(np.unique(answers.groups[answers.labels == label])) for label in (0, 1))
    return interval(partial(figure, answers), answers.groups, seed, trials=scarcer)


def proportion(hits: np.ndarray, groups: np.ndarray, seed: int) -> Interval | None:
    """The share of hits, bool (n,), with its interval; None of nothing."""
    if not len(hits):
        return None
    trials = len(np.unique(groups))
    return interval(lambda weights: weights @ hits / weights.sum(axis=1), groups, seed, trials)


def interval(
    figure: Callable[[np.ndarray], np.ndarray], groups: np.ndarray, seed: int, trials: int
) -> Interval | None:
    """A figure of n lesions and the 2.5 and 97.5 % quantiles of its resamples.

    Where every resample is perfect (4 of 4 melanomas found), or every one fails, the bootstrap
    would claim certainty, and of under ``FEWEST`` groups it knows too little: the interval is then
    the exact binomial one (Clopper and Pearson 1934), of as many trials as there are groups.

    Args:
        figure: weights of the lesions (b, n) to (b,), 0-1, NaN where it has no value.
        groups: (n,), what is resampled as one.
        seed: of the resampling.
        trials: groups that could have spoilt a perfect figure.

    Returns:
        None where the figure has no value, since a class is missing.
    """
    # A resample may lack a class altogether; it then says nothing, and is left out as NaN.
    with np.errstate(invalid="ignore"):
        value = float(figure(np.ones((1, len(groups))))[0])
        if not np.isfinite(value):
            return None
        drawn = np.concatenate([figure(weights) for weights in _resamples(groups, seed)])
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    if trials < FEWEST or (low == high and value in (0, 1)):
        low, high = _exact(value, trials)
    return [round(float(number), 4) for number in (value, low, high)]


def _exact(share: float, trials: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval, also of a mean of groups that are each between 0 and 1.

    No such groups spread more than those that are 0 or 1, so that it is rather too wide.
    """
    hits = share * trials
    low = beta.ppf(0.025, hits, trials - hits + 1) if hits > 0 else 0.0
    high = beta.ppf(0.975, hits + 1, trials - hits) if hits < trials else 1.0
    return float(low), float(high)


def area_under_curve(answers: Answers, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, ties counted half, for each row of the weights (b, n)."""
    malignant, benign = _by_probability(answers, weights)
    below = benign.cumsum(axis=1) - benign
    pairs = (malignant * (below + benign / 2)).sum(axis=1)
    return pairs / (malignant.sum(axis=1) * benign.sum(axis=1))


def sensitivity_at_specificity(answers: Answers, at: float, seed: int) -> Interval | None:
    """Sensitivity at the lowest threshold with this specificity, with its interval.

    The threshold is read from these very lesions: a point of the curve, not what a user gets.
    """
    # With classes and probabilities turned around, it is the specificity at a sensitivity.
    turned = Answers(1 - answers.labels, 1 - answers.probabilities, answers.calls, answers.groups)
    return curve_interval(partial(specificity_at_sensitivity, at=at), turned, seed)


def specificity_at_sensitivity(
    answers: Answers, weights: np.ndarray, at: float = AT_SENSITIVITY
) -> np.ndarray:
    """Specificity at the highest threshold with this sensitivity, for each row of the weights.

    The threshold is read from these very lesions: a point of the curve, not what a user gets.
    """
    malignant, benign = _by_probability(answers, weights)
    missed = malignant.cumsum(axis=1) - malignant
    allowed = (1 - at) * malignant.sum(axis=1, keepdims=True)
    threshold = (missed <= allowed + 1e-9).sum(axis=1) - 1
    below = benign.cumsum(axis=1) - benign
    # Without malignant lesions there is no threshold to read.
    found = np.where(malignant.any(axis=1), 1.0, np.nan)
    return found * below[np.arange(len(weights)), threshold] / benign.sum(axis=1)


def calibration_error(answers: Answers, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error of p(malignant) in 15 equal bins, for each row of the weights."""
    bins = bin_of(answers.probabilities)[:, None] == np.arange(BINS)
    excess = (answers.probabilities - answers.labels)[:, None] * bins
    return np.abs(weights @ excess).sum(axis=1) / weights.sum(axis=1)


def brier(answers: Answers, weights: np.ndarray) -> np.ndarray:
    """Mean squared error of p(malignant), for each row of the weights (Brier 1950)."""
    return weights @ (answers.probabilities - answers.labels) ** 2 / weights.sum(axis=1)


def bin_of(probabilities: np.ndarray) -> np.ndarray:
    """The calibration bin of each probability, 0-14."""
    return np.minimum((probabilities * BINS).astype(int), BINS - 1)


def _by_probability(answers: Answers, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of malignant and of benign at each distinct probability, the lowest first."""
    order = np.argsort(answers.probabilities, kind="stable")
    ordered = answers.probabilities[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] > ordered[:-1]])
    labels, weights = answers.labels[order], weights[:, order]
    malignant = np.add.reduceat(weights * labels, starts, axis=1)
    benign = np.add.reduceat(weights * (1 - labels), starts, axis=1)
    return malignant, benign


def _resamples(groups: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """How often each lesion is drawn: float (100, n) at a time, its group with replacement."""
    rng = np.random.default_rng(seed)
    names, member = np.unique(groups, return_inverse=True)
    even = np.full(len(names), 1 / len(names))
    for _ in range(RESAMPLES // _AT_ONCE):
        yield rng.multinomial(len(names), even, size=_AT_ONCE)[:, member].astype(float)
