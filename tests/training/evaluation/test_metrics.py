"""Metrics of a binary classifier, compared with other implementations and hand-computed cases."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, roc_auc_score

from training.evaluation.metrics import (
    REFUSED,
    Predictions,
    area_under_curve,
    brier,
    calibration_error,
    curve_interval,
    figures,
    proportion,
    specificity_at_sensitivity,
)
from training.evaluation.tables import percent


def predictions(
    labels: list[int],
    probabilities: list[float],
    calls: list[int] | None = None,
    groups: list[str] | None = None,
) -> Predictions:
    """Predictions; by default with the threshold 0.5, and with a group for each lesion."""
    p = np.array(probabilities, float)
    return Predictions(
        np.array(labels),
        p,
        (p >= 0.5).astype(int) if calls is None else np.array(calls),
        np.array([str(i) for i in range(len(p))] if groups is None else groups),
    )


def random_predictions(count: int, seed: int = 0, photos: int = 1) -> Predictions:
    """Predictions better than chance for ``count`` lesions, with identical photos of each."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    p = np.clip(0.3 * labels + rng.random(count) * 0.7, 0, 1).round(2)  # Rounding makes ties.
    return predictions(
        np.repeat(labels, photos).tolist(),
        np.repeat(p, photos).tolist(),
        groups=np.repeat(np.arange(count).astype(str), photos).tolist(),
    )


def test_the_auc_with_weights_and_ties_matches_scikit_learn():
    lesions = random_predictions(300)
    weights = np.random.default_rng(1).integers(0, 4, (5, 300)).astype(float)
    expected = [
        roc_auc_score(lesions.labels, lesions.probabilities, sample_weight=row) for row in weights
    ]
    assert area_under_curve(lesions, weights) == pytest.approx(expected)


def test_the_brier_score_matches_scikit_learn():
    lesions = random_predictions(100)
    expected = brier_score_loss(lesions.labels, lesions.probabilities)
    assert brier(lesions, np.ones((1, 100))) == pytest.approx([expected])


def test_at_95_percent_sensitivity_one_of_twenty_malignant_lesions_may_be_missed():
    # The malignant lesion at 0.1 may be missed; the others, at 0.6, are above 3 of 4 benign ones.
    lesions = predictions([1] * 20 + [0] * 4, [0.1] + [0.6] * 19 + [0.2, 0.3, 0.4, 0.7])
    assert specificity_at_sensitivity(lesions, np.ones((1, 24)))[0] == pytest.approx(0.75)


def test_at_95_percent_sensitivity_none_of_nineteen_malignant_lesions_may_be_missed():
    lesions = predictions([1] * 19 + [0] * 4, [0.1] + [0.6] * 18 + [0.05, 0.3, 0.4, 0.7])
    assert specificity_at_sensitivity(lesions, np.ones((1, 23)))[0] == pytest.approx(0.25)


def test_the_calibration_error_is_the_weighted_gap_between_probability_and_frequency():
    # First bin: two lesions at 0.05, one malignant: gap 0.45. Last: two malignant ones at 1: gap 0.
    lesions = predictions([0, 1, 1, 1], [0.05, 0.05, 1.0, 1.0])
    assert calibration_error(lesions, np.ones((1, 4)))[0] == pytest.approx(0.45 * 2 / 4)


def test_a_refused_lesion_is_an_error_in_sensitivity_and_specificity_but_enters_the_auc():
    lesions = predictions([1, 1, 0, 0], [0.9, 0.8, 0.1, 0.2], calls=[1, REFUSED, 0, REFUSED])
    found = figures(lesions)
    assert found["refused"] == 2
    assert found["right"] == {"benign": [1, 2], "malignant": [1, 2]}
    assert found["sensitivity"][0] == found["specificity"][0] == found["accuracy"][0] == 0.5
    assert found["auc"][0] == 1


def test_every_value_is_within_its_interval():
    found = figures(random_predictions(200))
    for name in ("auc", "sensitivity", "specificity", "accuracy", "brier"):
        value, low, high = found[name]
        assert low < value < high, name


def test_the_intervals_depend_only_on_the_seed():
    lesions = random_predictions(200)
    assert figures(lesions, seed=1) == figures(lesions, seed=1)
    assert figures(lesions, seed=1)["auc"] != figures(lesions, seed=2)["auc"]


def test_nine_photos_of_each_lesion_do_not_narrow_the_interval():
    one = figures(random_predictions(100))["auc"]
    nine = figures(random_predictions(100, photos=9))["auc"]
    assert nine[2] - nine[1] == pytest.approx(one[2] - one[1], rel=0.02)


def test_four_of_four_found_has_the_exact_binomial_interval():
    found = proportion(np.ones(4, bool), np.arange(4), seed=0)
    assert found == [1.0, pytest.approx(0.3976, abs=1e-3), 1.0]  # 0.025 ** (1 / 4)


def test_a_share_is_rounded_once_where_it_is_shown():
    found = proportion(np.arange(358) < 346, np.arange(358), seed=0)
    assert percent(found).startswith(f"{100 * 346 / 358:.1f} %")


def test_none_of_four_found_has_the_exact_binomial_interval():
    found = proportion(np.zeros(4, bool), np.arange(4), seed=0)
    assert found == [0.0, 0.0, pytest.approx(0.6024, abs=1e-3)]


def test_a_perfect_auc_with_three_malignant_lesions_has_a_wide_interval():
    lesions = predictions([1] * 3 + [0] * 30, [0.9] * 3 + [0.1] * 30)
    expected = [1.0, pytest.approx(0.025 ** (1 / 3), abs=1e-3), 1.0]
    assert curve_interval(area_under_curve, lesions, seed=0) == expected


def test_four_photos_of_two_patients_count_as_two_trials():
    hits, patients = np.array([True, True, False, False]), np.array(["a", "a", "a", "b"])
    expected = [0.5, pytest.approx(0.0126, abs=1e-3), pytest.approx(0.9874, abs=1e-3)]
    assert proportion(hits, patients, seed=0) == expected  # binomial, 1 of 2
    lesions = predictions([1] * 4 + [0] * 30, [*np.linspace(0.2, 0.3, 4), *np.linspace(0, 1, 30)])
    lesions.groups[:4] = patients
    _, low, high = curve_interval(area_under_curve, lesions, seed=0)
    assert low < 0.05
    assert high > 0.9


def test_the_interval_for_few_groups_is_the_exact_binomial_one():
    exact = binomtest(3, 9).proportion_ci(0.95, "exact")
    found = proportion(np.arange(9) < 3, np.arange(9), seed=0)
    assert found[1:] == pytest.approx([exact.low, exact.high], abs=1e-4)


def test_resamples_without_a_malignant_lesion_are_ignored():
    lesions = predictions([1] + [0] * 9, [0.6, *np.linspace(0, 0.9, 9)])
    found = curve_interval(area_under_curve, lesions, seed=0)
    assert found is not None
    assert np.isfinite(found).all()


@pytest.mark.parametrize("label", [0, 1])
def test_metrics_that_need_a_missing_class_are_none(label):
    found = figures(predictions([label] * 3, [0.2, 0.4, 0.9]))
    assert found["auc"] is None
    assert found["specificity_at_95_sensitivity"] is None
    assert found["sensitivity" if label == 0 else "specificity"] is None
    assert found["brier"] is not None


def test_the_proportion_of_no_photos_is_none():
    assert proportion(np.zeros(0, bool), np.zeros(0), seed=0) is None
