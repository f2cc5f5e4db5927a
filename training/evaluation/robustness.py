"""Test how verdicts react to changed photos, a hidden lesion, and covered parts of the photo."""

import dataclasses

import numpy as np
from tqdm import tqdm

from lens.verdict import Verdict, measure
from training.datasets.manifest import Row
from training.evaluation import perturbations
from training.evaluation.metrics import (
    Interval,
    Predictions,
    area_under_curve,
    curve_interval,
    proportion,
)
from training.evaluation.predictions import Judge, photos, read_photo
from training.evaluation.results import HeatMapCheck, VerdictChange

RANDOM_TENTHS = 3
"""Number of random tenths covered for each photo, to compare with the hottest tenth."""


def verdict_changes(
    rows: list[Row], verdicts: list[Verdict], judge: Judge, seed: int
) -> dict[str, VerdictChange]:
    """How often the verdict changes, for each change of the photo by ``perturbations.changes``.

    Args:
        rows: the photos to test.
        verdicts: the verdicts on the unchanged photos.
        judge: the model.
        seed: seed of the intervals.
    """
    before = [verdict.verdict or "cannot_judge" for verdict in verdicts]
    after: dict[str, list[str]] = {}
    for row in tqdm(rows, "changed photos", unit="photo"):
        for name, image in perturbations.changes(read_photo(row)):
            verdict = None if image is None else judge.verdict(image).verdict
            after.setdefault(name, []).append(verdict or "cannot_judge")
    groups = np.array([row.group for row in rows])
    benign, malignant = judge.card.labels
    return {
        name: {
            "photos": len(rows),
            "changed": proportion(np.array(before) != np.array(changed), groups, seed),
            "malignant_to_benign": list(zip(before, changed, strict=True)).count(
                (malignant, benign)
            ),
            "to_cannot_judge": sum(
                new == "cannot_judge" != old for old, new in zip(before, changed, strict=True)
            ),
        }
        for name, changed in after.items()
    }


def masked_auc(
    rows: list[Row], parts: dict[str, np.ndarray], judge: Judge, seed: int
) -> dict[str, Interval | None]:
    """AUC with the lesion hidden, which is near 0.5 for a network that looks only at the lesion.

    Args:
        rows: n photos.
        parts: mask of each part to report, bool (n,).
        judge: the model.
        seed: seed of the intervals.

    Returns:
        The AUC of each part with its interval, None if a class is missing.
    """
    labels = np.array([row.malignant for row in rows])
    groups = np.array([row.group for row in rows])
    probabilities = np.array(
        [
            judge.probability(perturbations.mask_lesion(image))
            for image in photos(rows, "lesion masked")
        ]
    )
    masked = Predictions(labels, probabilities, labels, groups)
    return {
        name: curve_interval(area_under_curve, masked.subset(chosen), seed)
        for name, chosen in parts.items()
    }


def heat_map_check(rows: list[Row], judge: Judge, seed: int) -> HeatMapCheck | None:
    """Test whether p(malignant) depends more on the heat map's hottest tenth than on random tenths.

    Args:
        rows: the photos to test.
        judge: the model.
        seed: seed of the random tenths and of the interval.

    Returns:
        None for a network without a heat map.
    """
    rng = np.random.default_rng(seed)
    # Always use all views, so that a different number of views causes no change.
    judge = dataclasses.replace(judge, card=dataclasses.replace(judge.card, margins=()))
    hottest, random = [], []
    for image in photos(rows, "heat map"):
        measured = measure(image, judge.engine, judge.card)
        if measured.heat_map is None:
            return None
        before = judge.calibrated_probability(measured)
        tenths = [perturbations.hottest_tenth(measured.heat_map)] + [
            perturbations.random_tenth(measured.heat_map, rng) for _ in range(RANDOM_TENTHS)
        ]
        first, *others = [
            abs(judge.probability(perturbations.cover(image, tenth)) - before) for tenth in tenths
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
