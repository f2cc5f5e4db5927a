"""Fitting operating points: calibration, thresholds, and one point for each kind of photo."""

import numpy as np
import pytest

from training.datasets.manifest import Row
from training.fit.operating_points import (
    MIN_MALIGNANT,
    THRESHOLD_MARGIN_LOGITS,
    ValidationMeasurements,
    fit_operating_points,
    fit_platt,
    threshold_at,
)


def measured(
    logits: np.ndarray,
    malignant: np.ndarray,
    *,
    kinds: list[str] | str = "clinical",
    sources: list[str] | str = "one",
    diagnoses: list[str] | str = "bcc",
    lesions: np.ndarray | None = None,
) -> ValidationMeasurements:
    def repeated(words: list[str] | str) -> list[str]:
        return [words] * len(logits) if isinstance(words, str) else words

    rows = [
        Row("", source, diagnosis, int(label), "", "val")
        for source, diagnosis, label in zip(
            repeated(sources), repeated(diagnoses), malignant, strict=True
        )
    ]
    usable = np.ones(len(logits), bool)
    return ValidationMeasurements(
        logits.astype(float), lesions, np.array(repeated(kinds)), usable, rows
    )


def test_platt_scaling_finds_the_offset_and_temperature_of_a_biased_model() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-(logits - 1) / 0.5))
    temperature, offset = fit_platt(logits, labels)
    assert temperature == pytest.approx(0.5, abs=0.05)
    assert offset == pytest.approx(-1, abs=0.1)


def test_platt_scaling_of_perfectly_separated_classes_has_a_finite_temperature() -> None:
    temperature, _ = fit_platt(np.array([-3.0, -2, 2, 3]), np.array([0, 0, 1, 1]) == 1)
    assert 0.5 < temperature < 10


def test_the_threshold_reaches_the_target_sensitivity() -> None:
    malignant = np.arange(100) < 40
    logits = np.linspace(0, 1, 100)[::-1]
    threshold = threshold_at(logits, malignant, 0.95)
    assert (logits[malignant] >= threshold).mean() == pytest.approx(0.95)


@pytest.mark.parametrize("count", [20, 30, 40, 50, 100, 200])
def test_at_90_percent_sensitivity_exactly_a_tenth_is_missed(count: int) -> None:
    logits = np.arange(count, dtype=float)
    threshold = threshold_at(logits, np.full(count, True), 0.9)
    assert (logits < threshold).sum() == count // 10


def test_the_threshold_is_slightly_below_the_lesion_that_determines_it() -> None:
    logits = np.linspace(-2, 2, 80)
    malignant = np.arange(80) >= 40
    points = fit_operating_points(measured(logits, malignant))
    ordered = logits[malignant]
    assert points["clinical"].threshold_logit == pytest.approx(ordered[2] - THRESHOLD_MARGIN_LOGITS)


def test_a_refused_lesion_counts_as_missed() -> None:
    logits = np.linspace(-2, 2, 400)
    malignant = np.arange(400) >= 200
    lesions = np.where(np.arange(400) >= 397, 0.1, 0.9)  # Three of the most certain are refused.
    with_refusals = fit_operating_points(measured(logits, malignant, lesions=lesions))
    without = fit_operating_points(measured(logits, malignant))
    assert with_refusals["clinical"].threshold < without["clinical"].threshold


def test_each_kind_of_photo_has_its_own_point() -> None:
    rng = np.random.default_rng(1)
    malignant = rng.random(400) < 0.5
    clinical = np.arange(400) < 200
    # The network overestimates clinical photos.
    logits = np.where(malignant, 1, -1) + rng.normal(0, 1, 400) + np.where(clinical, 2, 0)
    kinds = ["clinical" if one else "dermoscopic" for one in clinical]
    points = fit_operating_points(measured(logits, malignant, kinds=kinds))
    difference = points["clinical"].threshold_logit - points["dermoscopic"].threshold_logit
    assert difference == pytest.approx(2, abs=0.7)


def test_a_kind_with_few_lesions_shares_the_point_of_all_photos() -> None:
    count = 2 * MIN_MALIGNANT - 1
    logits = np.linspace(-1, 1, 200 + count)
    malignant = np.arange(200 + count) % 2 == 0
    kinds = ["dermoscopic"] * 200 + ["clinical"] * count
    everything = fit_operating_points(measured(logits, malignant, kinds=[""] * len(kinds)))
    points = fit_operating_points(measured(logits, malignant, kinds=kinds))
    assert points["clinical"] == everything["clinical"]
    assert points["dermoscopic"] != everything["dermoscopic"]


@pytest.mark.parametrize(
    ("sources", "diagnoses", "named"),
    [
        (["hard"] * 40 + ["easy"] * 1560, "bcc", "hard"),
        ("one", ["melanoma"] * 40 + ["bcc"] * 1560, "melanoma"),
    ],
    ids=["a source", "melanoma"],
)
def test_a_source_or_diagnosis_that_is_missed_more_often_lowers_the_threshold(
    sources: list[str] | str, diagnoses: list[str] | str, named: str
) -> None:
    malignant = np.arange(1600) < 800
    # The first 40 malignant lesions look benign. They are 5 % of the malignant ones, so the overall
    # target alone would allow missing all of them.
    logits = np.where(malignant, 2.0, -2.0) + np.linspace(0, 1, 1600)
    logits[:40] = np.linspace(-3, -2, 40)
    points = fit_operating_points(measured(logits, malignant, sources=sources, diagnoses=diagnoses))
    found = logits[:40] >= points["clinical"].threshold_logit
    assert found.mean() >= 0.9
    assert named in points["clinical"].threshold_rule
