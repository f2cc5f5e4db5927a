"""Figures of a binary verdict, against other implementations and cases worked out by hand."""

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


def answers(
    labels: list[int],
    probabilities: list[float],
    calls: list[int] | None = None,
    groups: list[str] | None = None,
) -> Predictions:
    """Predictions at the threshold 0.5, each lesion its own group, unless told otherwise."""
    p = np.array(probabilities, float)
    return Predictions(
        np.array(labels),
        p,
        (p >= 0.5).astype(int) if calls is None else np.array(calls),
        np.array([str(i) for i in range(len(p))] if groups is None else groups),
    )


def many(count: int, seed: int = 0, photos: int = 1) -> Predictions:
    """Lesions whose probability tells something; ``photos`` alike of each, one group."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    p = np.clip(0.3 * labels + rng.random(count) * 0.7, 0, 1).round(2)  # rounded: ties
    return answers(
        np.repeat(labels, photos).tolist(),
        np.repeat(p, photos).tolist(),
        groups=np.repeat(np.arange(count).astype(str), photos).tolist(),
    )


def test_the_area_under_the_curve_is_that_of_scikit_learn_with_weights_and_ties():
    lesions = many(300)
    weights = np.random.default_rng(1).integers(0, 4, (5, 300)).astype(float)
    expected = [
        roc_auc_score(lesions.labels, lesions.probabilities, sample_weight=row) for row in weights
    ]
    assert area_under_curve(lesions, weights) == pytest.approx(expected)


def test_the_brier_score_is_that_of_scikit_learn():
    lesions = many(100)
    expected = brier_score_loss(lesions.labels, lesions.probabilities)
    assert brier(lesions, np.ones((1, 100))) == pytest.approx([expected])


def test_the_specificity_at_95_percent_sensitivity_lets_one_malignant_lesion_in_twenty_go():
    # One malignant lesion at 0.1 may be missed; the next stands at 0.6, above 3 of 4 benign ones.
    lesions = answers([1] * 20 + [0] * 4, [0.1] + [0.6] * 19 + [0.2, 0.3, 0.4, 0.7])
    assert specificity_at_sensitivity(lesions, np.ones((1, 24)))[0] == pytest.approx(0.75)


def test_with_nineteen_malignant_lesions_none_may_be_missed_at_95_percent_sensitivity():
    lesions = answers([1] * 19 + [0] * 4, [0.1] + [0.6] * 18 + [0.05, 0.3, 0.4, 0.7])
    assert specificity_at_sensitivity(lesions, np.ones((1, 23)))[0] == pytest.approx(0.25)


def test_the_calibration_error_is_the_weighted_gap_between_probability_and_truth():
    # Bin 0: two lesions at 0.05, one malignant: gap 0.45. Last bin: two at 1, both malignant: 0.
    lesions = answers([0, 1, 1, 1], [0.05, 0.05, 1.0, 1.0])
    assert calibration_error(lesions, np.ones((1, 4)))[0] == pytest.approx(0.45 * 2 / 4)


def test_a_refused_lesion_is_neither_found_nor_called_benign_but_is_ranked():
    lesions = answers([1, 1, 0, 0], [0.9, 0.8, 0.1, 0.2], calls=[1, REFUSED, 0, REFUSED])
    found = figures(lesions)
    assert found["refused"] == 2
    assert found["right"] == {"benign": [1, 2], "malignant": [1, 2]}
    assert found["sensitivity"][0] == found["specificity"][0] == found["accuracy"][0] == 0.5
    assert found["auc"][0] == 1


def test_the_value_lies_within_its_interval():
    found = figures(many(200))
    for name in ("auc", "sensitivity", "specificity", "accuracy", "brier"):
        value, low, high = found[name]
        assert low < value < high, name


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others():
    lesions = many(200)
    assert figures(lesions, seed=1) == figures(lesions, seed=1)
    assert figures(lesions, seed=1)["auc"] != figures(lesions, seed=2)["auc"]


def test_nine_photos_of_each_lesion_do_not_narrow_the_interval():
    one = figures(many(100))["auc"]
    nine = figures(many(100, photos=9))["auc"]
    assert nine[2] - nine[1] == pytest.approx(one[2] - one[1], rel=0.02)


def test_four_of_four_found_does_not_claim_certainty():
    found = proportion(np.ones(4, bool), np.arange(4), seed=0)
    assert found == [1.0, pytest.approx(0.3976, abs=1e-3), 1.0]  # 0.025 ** (1 / 4)


def test_none_of_four_found_does_not_claim_certainty():
    found = proportion(np.zeros(4, bool), np.arange(4), seed=0)
    assert found == [0.0, 0.0, pytest.approx(0.6024, abs=1e-3)]


def test_a_perfect_ranking_of_three_malignant_lesions_does_not_claim_certainty():
    lesions = answers([1] * 3 + [0] * 30, [0.9] * 3 + [0.1] * 30)
    expected = [1.0, pytest.approx(0.025 ** (1 / 3), abs=1e-3), 1.0]
    assert curve_interval(area_under_curve, lesions, seed=0) == expected


def test_four_photos_of_two_patients_say_as_little_as_two_patients():
    hits, patients = np.array([True, True, False, False]), np.array(["a", "a", "a", "b"])
    expected = [0.5, pytest.approx(0.0126, abs=1e-3), pytest.approx(0.9874, abs=1e-3)]
    assert proportion(hits, patients, seed=0) == expected  # binomial, 1 of 2
    lesions = answers([1] * 4 + [0] * 30, [*np.linspace(0.2, 0.3, 4), *np.linspace(0, 1, 30)])
    lesions.groups[:4] = patients
    _, low, high = curve_interval(area_under_curve, lesions, seed=0)
    assert low < 0.05
    assert high > 0.9


def test_of_few_groups_the_interval_is_the_exact_binomial_one():
    exact = binomtest(3, 9).proportion_ci(0.95, "exact")
    found = proportion(np.arange(9) < 3, np.arange(9), seed=0)
    assert found[1:] == pytest.approx([exact.low, exact.high], abs=1e-4)


def test_resamples_without_a_malignant_lesion_are_left_out_of_the_interval():
    lesions = answers([1] + [0] * 9, [0.6, *np.linspace(0, 0.9, 9)])
    found = curve_interval(area_under_curve, lesions, seed=0)
    assert found is not None
    assert np.isfinite(found).all()


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_has_no_curve_and_no_figure_of_the_other(label):
    found = figures(answers([label] * 3, [0.2, 0.4, 0.9]))
    assert found["auc"] is None
    assert found["specificity_at_95_sensitivity"] is None
    assert found["sensitivity" if label == 0 else "specificity"] is None
    assert found["brier"] is not None


def test_the_share_of_nothing_is_none():
    assert proportion(np.zeros(0, bool), np.zeros(0), seed=0) is None
