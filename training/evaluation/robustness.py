"""What verdicts do when the photo changes, the lesion is hidden, or the heat map's places are."""

import dataclasses
from typing import Any

import numpy as np
from tqdm import tqdm

from lens.verdict import Verdict, measure
from training.datasets.manifest import Row
from training.evaluation import perturbations
from training.evaluation.metrics import Answers, area_under_curve, curve_interval, proportion
from training.evaluation.predictions import Judge, photos, read_photo

RANDOM_TENTHS = 3
"""Random tenths covered for each photo; their mean is compared with the hottest tenth."""


def verdict_changes(
    rows: list[Row], verdicts: list[Verdict], judge_of: Judge, seed: int
) -> dict[str, dict[str, Any]]:
    """How often the verdict changes with the photo, "cannot judge" counting as a verdict.

    Args:
        rows: lesions to try.
        verdicts: of their photos as they are.
        judge_of: the model.
        seed: of the intervals' resampling.

    Returns:
        For each of the perturbations: ``photos``, ``changed`` (share, low, high), and
        the counts ``malignant_to_benign`` and ``to_cannot_judge``.
    """
    before = [verdict.verdict or "cannot_judge" for verdict in verdicts]
    after: dict[str, list[str]] = {}
    for row in tqdm(rows, "changed photos", unit="photo"):
        for name, image in perturbations.changes(read_photo(row)):
            verdict = None if image is None else judge_of.verdict(image).verdict
            after.setdefault(name, []).append(verdict or "cannot_judge")
    groups = np.array([row.group for row in rows])
    benign, malignant = judge_of.card.labels
    return {
        name: {
            "photos": len(rows),
            "changed": proportion(np.array(before) != np.array(given), groups, seed),
            "malignant_to_benign": list(zip(before, given, strict=True)).count((malignant, benign)),
            "to_cannot_judge": sum(
                new == "cannot_judge" != old for old, new in zip(before, given, strict=True)
            ),
        }
        for name, given in after.items()
    }


def masked_auc(
    rows: list[Row], parts: dict[str, np.ndarray], judge_of: Judge, seed: int
) -> dict[str, Any]:
    """AUC with the lesion hidden: near 0.5 for a network that looks at the lesion.

    Args:
        rows: n lesions.
        parts: bool (n,) of each part to report.
        judge_of: the model.
        seed: of the intervals' resampling.

    Returns:
        (value, low, high) of each part, None where a class is missing.
    """
    labels = np.array([row.malignant for row in rows])
    groups = np.array([row.group for row in rows])
    probabilities = np.array(
        [
            judge_of.probability(perturbations.mask_lesion(image))
            for image in photos(rows, "lesion masked")
        ]
    )
    masked = Answers(labels, probabilities, labels, groups)
    return {
        name: curve_interval(area_under_curve, masked.part(chosen), seed)
        for name, chosen in parts.items()
    }


def heat_map_check(rows: list[Row], judge_of: Judge, seed: int) -> dict[str, Any] | None:
    """Does covering the heat map's hottest tenth change p(malignant) more than a random tenth?

    Args:
        rows: lesions to try.
        judge_of: the model.
        seed: of the random tenths and of the interval.

    Returns:
        ``photos``; ``hottest`` and ``random``, the mean absolute changes of p(malignant); and
        ``hottest_larger``, the share of photos where the hottest changes it more (value, low,
        high). None for a network without a heat map.
    """
    rng = np.random.default_rng(seed)
    # Every view, so that no change comes from having looked fewer times.
    judge_of = dataclasses.replace(judge_of, card=dataclasses.replace(judge_of.card, margins=()))
    hottest, random = [], []
    for image in photos(rows, "heat map"):
        measured = measure(image, judge_of.engine, judge_of.card)
        if measured.heat_map is None:
            return None
        before = judge_of.calibrated(measured)
        tenths = [perturbations.hottest_tenth(measured.heat_map)] + [
            perturbations.random_tenth(measured.heat_map, rng) for _ in range(RANDOM_TENTHS)
        ]
        first, *others = [
            abs(judge_of.probability(perturbations.cover(image, tenth)) - before)
            for tenth in tenths
        ]
        hottest.append(first)
        random.append(np.mean(others))
    groups = np.array([row.group for row in rows])
    return {
        "photos": len(rows),
        "hottest": round(float(np.mean(hottest)), 4),
        "random": round(float(np.mean(random)), 4),
        "hottest_larger": proportion(np.array(hottest) > np.array(random), groups, seed),
    }
