"""The training loop with its checkpoints, on a network of four weights that trains in seconds."""

import csv
import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from training.datasets.manifest import Row
from training.fit.batches import Examples
from training.fit.callbacks import TrainingError
from training.fit.checkpoints import Validation, last_weights
from training.fit.loop import fit
from training.fit.recipes import PAPER, Stage

# A resumed run must restore all of this: a learning rate that changes, callbacks that count epochs,
# dropout, and a moving average of the weights.
RECIPE = dataclasses.replace(
    PAPER,
    stages=(Stage(0.5, 16, 4), Stage(0.5, 20, 4)),
    images_per_epoch=8,
    rates={"sgd": 0.1},
    average=0.9,
    epochs=8,
)


class InterruptTraining(keras.callbacks.Callback):
    """Raises KeyboardInterrupt, as Ctrl-C does, at the start of an epoch."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.interrupted_epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if epoch == self.interrupted_epoch:
            raise KeyboardInterrupt


def fit_small_network(
    folder: Path, weight: float = 1.0, recipe: dict[str, object] | None = None, **options: object
) -> tuple[keras.Model, list[dict]]:
    """Train on eight plain grey photos for eight epochs, with changes of the recipe."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((None, None, 3))
    dropped = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(pixels))
    malignant = keras.layers.Dense(1, "sigmoid", name="malignant")(dropped)
    network = keras.Model(pixels, {"malignant": malignant})
    rows = [Row(f"grey{i}.jpg", "grey", "nevus", i % 2, f"g{i}", "train") for i in range(8)]
    images = np.stack([np.full((500, 500, 3), 9 * i + 90 * (i % 2), np.uint8) for i in range(8)])
    history = fit(
        network,
        dataclasses.replace(RECIPE, loss_weights={"malignant": weight}, **(recipe or {})),
        Examples(images, rows, images[:0], None),
        Validation(images, rows, batch=8),
        **{"seed": 0, "folder": folder, "resume": False, **options},
    )
    return network, history


def test_a_run_interrupted_in_any_stage_resumes_to_the_weights_of_an_uninterrupted_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, expected_history = fit_small_network(tmp_path / "uninterrupted")
    assert "epoch 8 of 8: " in capsys.readouterr().out
    folder = tmp_path / "interrupted"
    for resume, stop in ((False, 2), (True, 6)):
        with pytest.raises(KeyboardInterrupt):
            fit_small_network(folder, resume=resume, callbacks=[InterruptTraining(stop)])
        # As if it had been killed while writing the next checkpoint.
        (folder / f"average-{stop + 1}.npz").write_bytes(b"half a file")
        (folder / f"last-{stop + 1}.weights.h5").write_bytes(b"half a file")
    resumed, history = fit_small_network(folder, resume=True)
    assert history == expected_history
    for before, after in zip(expected.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    averages = last_weights(tmp_path / "uninterrupted"), last_weights(folder)
    for before, after in zip(*averages, strict=True):
        np.testing.assert_array_equal(before, after)
    with (folder / "log.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == [str(epoch) for epoch in range(8)]
    assert not list(folder.glob("*-[1-7].*"))


def test_resuming_a_run_that_early_stopping_has_ended_trains_no_further_epoch(
    tmp_path: Path,
) -> None:
    # Without learning, the validation loss never improves on the first epoch.
    still = {"rates": {"sgd": 0.0}, "epochs": 30, "average": 0.0}
    _, history = fit_small_network(tmp_path, recipe=still)
    assert len(history) == 11
    _, resumed = fit_small_network(tmp_path, recipe=still, resume=True)
    assert resumed == history


def test_a_loss_that_is_not_finite_stops_training_and_names_the_images(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the loss is inf after batch 0") as error:
        fit_small_network(tmp_path, weight=1e300)  # Too large for a float32.
    assert str(error.value).count("grey") == 4


def test_two_hosts_together_make_the_same_batches_as_one(tmp_path: Path) -> None:
    from training.fit.batches import Batches

    rows = [Row(f"{i}.jpg", "s", "nevus", i % 2, "", "train") for i in range(4)]
    images = np.random.default_rng(0).integers(0, 256, (4, 500, 500, 3)).astype(np.uint8)

    def second_batch(host: tuple[int, int]) -> tuple:
        return Batches(
            Examples(images, rows, images[:2], None),
            weights=np.full(4, 0.25),
            outputs=("malignant", "lesion"),
            augmentation=PAPER.augmentation,
            size=32,
            batch=6,
            steps=2,
            other_share=0.5,
            graft_share=0.5,
            seed=0,
            epoch=0,
            host=host,
        )[1]

    one_host, first, second = second_batch((0, 1)), second_batch((0, 2)), second_batch((1, 2))
    np.testing.assert_array_equal(one_host[0], np.concatenate([first[0], second[0]]))
    for name in ("malignant", "lesion"):
        halves = [first[1][name], second[1][name]]
        np.testing.assert_array_equal(one_host[1][name], np.concatenate(halves))
