"""``bench.trial`` compares variants of cnn7 on views that a teacher has predicted once."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import painted_set
import pytest
from serving import ROOT

from bench.trial_options import NAMES, TrialOptions
from bench.trial_training import aucs, gains, run_trial
from bench.variants import VARIANTS, ShadesOfGrey, variant
from bench.view_bank import TrialError
from training.datasets.manifest import Row
from training.fit.image_cache import DiskFull
from training.networks import cnn7


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> TrialOptions:
    """Options of a trial that takes seconds."""
    data = tmp_path_factory.mktemp("data")
    return TrialOptions(
        variant="base",
        manifest=painted_set.write(data, lesions=192),  # The embedding's 128 components need 128.
        folder=data / "trials",
        teacher=ROOT / "models" / "efficientnet_lite0" / "efficientnet_lite0.h5",
        views=128,
        passes=1,
        side=64,
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_variant_has_seven_convolutions_and_at_most_five_million_parameters(name: str) -> None:
    built = VARIANTS[name]()
    convolutions = [one for one in built.layers if isinstance(one, keras.layers.Conv2D)]
    assert len(convolutions) == 7
    assert built.count_params() <= 5_000_000
    assert built.output.keys() == cnn7(None).output.keys()


def test_a_variant_without_changes_is_cnn7() -> None:
    layers = [
        [(type(one), [weight.shape for weight in one.weights]) for one in network.layers]
        for network in (variant("cnn7"), cnn7(None))
    ]
    assert layers[0] == layers[1]


def test_shades_of_grey_removes_the_colour_of_the_light() -> None:
    photo = np.random.default_rng(0).uniform(60, 160, (1, 32, 32, 3)).astype(np.float32)
    warm = photo * np.float32([1.5, 1.0, 0.6])
    plain, corrected = (np.asarray(ShadesOfGrey()(pixels)) for pixels in (photo, warm))
    ratio = corrected / plain
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-3)


def test_a_finished_trial_gives_the_same_figures_again(options: TrialOptions) -> None:
    report = run_trial(options)
    assert report["views"] == 128
    assert 0 <= report["refitted"]["clinical"] <= 1
    assert run_trial(options) == report


def test_an_interrupted_bank_continues_with_the_same_views(options: TrialOptions) -> None:
    run_trial(options)
    bank = options.folder / "bank"
    files = [bank / f"{name}.npy" for name in ("views", "targets", "weights")]
    complete = [np.load(file) for file in files]
    (bank / "state.json").write_text("64")
    for file, array in zip(files, complete, strict=True):
        np.save(file, np.concatenate([array[:64], np.zeros_like(array[64:])]))
    run_trial(options)
    for file, array in zip(files, complete, strict=True):
        np.testing.assert_allclose(np.load(file), array, rtol=1e-4, atol=1e-5)


def test_a_bank_of_other_photos_is_not_used(options: TrialOptions, tmp_path: Path) -> None:
    run_trial(options)
    other = dataclasses.replace(options, manifest=painted_set.write(tmp_path, lesions=204))
    with pytest.raises(TrialError, match="set of training images"):
        run_trial(other)


def test_a_full_disk_is_reported_before_the_bank_is_made(
    options: TrialOptions, tmp_path: Path
) -> None:
    huge = dataclasses.replace(options, folder=tmp_path, views=10**12)
    with pytest.raises(DiskFull, match="of disk space for the views"):
        run_trial(huge)


def test_the_gain_is_the_difference_of_two_aucs_on_the_same_photos() -> None:
    rng = np.random.default_rng(0)
    rows = [
        Row("", "pad_ufes", "", malignant, f"{index}", "val", "clinical")
        for index, malignant in enumerate(rng.integers(0, 2, 400).tolist())
    ]
    labels = np.array([row.malignant for row in rows])
    poor, good = (labels + rng.normal(0, noise, 400) for noise in (2.0, 0.5))
    value, low, high = gains(rows, good, poor)["clinical"]
    assert value == pytest.approx(
        aucs(rows, good)["clinical"] - aucs(rows, poor)["clinical"], abs=1e-3
    )
    assert 0 < low < value < high
