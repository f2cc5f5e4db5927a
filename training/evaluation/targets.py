"""What the project set out to reach on the test split, and whether a model does."""

from dataclasses import dataclass
from typing import Any

from training.datasets.manifest import KINDS
from training.evaluation.results import Report

AUC = {"dermoscopic": 0.92, "clinical": 0.88, "ham10000": 0.93, "isic2019": 0.88}
"""The first shipped model reached 0.88 on dermoscopy, and 0.76 on clinical photos of a source that
it had not seen."""
SPECIFICITY_AT_95 = {"dermoscopic": 0.70}
"""Marketed products were found at 60 to 83 % in a prospective study, at less sensitivity."""
MELANOMAS_FOUND = {"clinical": 0.90}
SPECIFICITY = {"clinical": 0.50}
"""At the stored threshold, beside the melanomas that it finds."""
CALIBRATION_ERROR = {"dermoscopic": 0.02, "clinical": 0.04}
MOST_REFUSED = {"dermoscopic": 0.01, "clinical": 0.02}
LEAST_OTHERS_REFUSED = {"not_lesion": 0.995, "skin_other": 0.80}
MOST_CHANGED = 0.03
MASKED_AUC = 0.65


@dataclass(frozen=True)
class Goal:
    """One figure beside its goal.

    Attributes:
        figure: which figure, a share unless it starts with "AUC" or is the calibration error.
        part: of which photos.
        found: value, low, high; or the value alone.
        bound: the goal.
        at_least: whether the bound is to be reached from above; otherwise it is a limit.
    """

    figure: str
    part: str
    found: list[float]
    bound: float
    at_least: bool

    @property
    def reached(self) -> bool:
        value = self.found[0]
        return value >= self.bound if self.at_least else value <= self.bound


def goals(report: Report) -> list[Goal]:
    """Every goal that the report of ``training.evaluate`` has a figure for."""
    test, refused = report["test"], report["refused"]
    found: list[tuple[str, str, Any, float, bool]] = []
    for figure, key, wanted in (
        ("AUC", "auc", AUC),
        ("specificity at 95 % sensitivity", "specificity_at_95_sensitivity", SPECIFICITY_AT_95),
        ("specificity", "specificity", SPECIFICITY),
    ):
        parts: dict[str, Any] = {part: dict(test[part]) for part in wanted if part in test}
        found += [(figure, part, parts[part][key], wanted[part], True) for part in parts]
    found += [
        ("melanomas found", part, report["melanomas"][part]["found"], goal, True)
        for part, goal in MELANOMAS_FOUND.items()
        if part in report["melanomas"]
    ]
    found += [
        ("calibration error", part, [test[part]["ece"]], goal, False)
        for part, goal in CALIBRATION_ERROR.items()
        if part in test
    ]
    found += [("refused", p, refused.get(p), x, True) for p, x in LEAST_OTHERS_REFUSED.items()]
    found += [("refused", p, refused.get(p), x, False) for p, x in MOST_REFUSED.items()]
    found += [
        ("AUC, lesion masked", part, report["lesion_masked"].get(part), MASKED_AUC, False)
        for part in ("pooled", *KINDS)
    ]
    found += [
        ("verdict changed", name, changed["changed"], MOST_CHANGED, False)
        for name, changed in report["verdict_changes"].items()
    ]
    return [Goal(*one) for one in found if one[2] is not None]
