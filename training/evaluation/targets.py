"""What the project set out to reach on the test split, and whether a model does."""

from dataclasses import dataclass
from typing import Any

AUC = {"ham10000": 0.95, "isic2019": 0.90, "siim2020": 0.90, "pad_ufes": 0.90}
"""To beat published small networks, the ISIC 2017 challenge's best, and phone apps in studies."""
SPECIFICITY = 0.78
"""On dermoscopy at the stored threshold: the best claimed for a marketed product."""
CALIBRATION_ERROR = 0.03
MOST_REFUSED = {"pooled_dermoscopy": 0.01, "pad_ufes": 0.03}
LEAST_OTHERS_REFUSED = 0.995
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


def goals(report: dict[str, Any]) -> list[Goal]:
    """Every goal that the report of ``training.evaluate`` has a figure for."""
    test, refused = report["test"], report["refused"]
    found = [("AUC", part, test.get(part, {}).get("auc"), goal, True) for part, goal in AUC.items()]
    dermoscopy = test.get("pooled_dermoscopy", {})
    found += [
        ("specificity", "pooled_dermoscopy", dermoscopy.get("specificity"), SPECIFICITY, True),
        ("calibration error", "pooled", [test["pooled"]["ece"]], CALIBRATION_ERROR, False),
        ("refused", "not_lesion", refused.get("not_lesion"), LEAST_OTHERS_REFUSED, True),
    ]
    found += [
        ("refused", part, refused.get(part), goal, False) for part, goal in MOST_REFUSED.items()
    ]
    found += [
        ("AUC, lesion masked", part, auc, MASKED_AUC, False)
        for part, auc in report["lesion_masked"].items()
    ]
    found += [
        ("verdict changed", name, changed["changed"], MOST_CHANGED, False)
        for name, changed in report["verdict_changes"].items()
    ]
    return [Goal(*one) for one in found if one[2] is not None]
