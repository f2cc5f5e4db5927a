"""Calibrate a finished network on the validation split alone, and write the model file."""

import dataclasses
import tempfile
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lens import artifact
from lens.card import Card
from lens.engine import Engine, open_engine
from lens.verdict import EARLY_STOP_VIEWS, Measurement, measure, photo_faults
from training.datasets.manifest import Row
from training.fit.operating_points import Measured, fit_operating_points

CERTAIN = 0.99
"""Share of validation photos whose mean logit over some views is within the margin of the mean over
all. A verdict differs only where a photo at the margin is among the others: with the fourth model
none of 1,947 did."""


def measure_all(images: NDArray[np.uint8], engine: Engine, card: Card) -> list[Measurement]:
    """``lens.verdict.measure`` of many images, uint8 (n, 500, 500, 3), with a progress bar."""
    return [measure(np.asarray(i), engine, card) for i in tqdm(images, "judging", unit="image")]


def calibrate(
    model: keras.Model, card: Card, path: Path, images: NDArray[np.uint8], rows: list[Row]
) -> Card:
    """Calibrate a model on validation images and write it with its card.

    What is fitted goes into the card, and the network stays as it is. ``path`` is replaced once, by
    the finished file: a run that is stopped leaves there what there was.

    Args:
        model: the trained network.
        card: what is known so far.
        path: where the ``.h5`` goes; what is there stays until the new file is whole.
        images: uint8 (n, 500, 500, 3).
        rows: the n images' rows.

    Returns:
        The card written.
    """
    card = dataclasses.replace(card, margins=())  # Every view of every photo is asked for.
    measurements = _measure_as_served(model, card, images)
    judged = np.array([not photo_faults(np.asarray(image)) for image in images])
    card = dataclasses.replace(
        card,
        operating_points=fit_operating_points(Measured.of(measurements, judged, rows)),
        margins=margins(np.array([one.logits for one in measurements])),
        calibrated=True,
    )
    artifact.save(model, path, card)
    return card


def _measure_as_served(model: keras.Model, card: Card, images: np.ndarray) -> list[Measurement]:
    """Measure with the engine that will serve the model, from a file that nobody else reads."""
    with tempfile.TemporaryDirectory() as folder:
        uncalibrated = Path(folder) / "uncalibrated.h5"
        artifact.save(model, uncalibrated, card)
        return measure_all(images, open_engine(uncalibrated, cache_dir=folder), card)


def margins(logits: np.ndarray) -> tuple[float, ...]:
    """How far the mean over the first two and four views lies from the mean over all, at most.

    Args:
        logits: float64 (n, views).

    Returns:
        The CERTAIN quantile of each distance, in logits; nothing where there is one view.
    """
    if logits.shape[1] == 1:
        return ()
    partial = np.stack([logits[:, :views].mean(axis=1) for views in EARLY_STOP_VIEWS])
    distances = np.abs(partial - logits.mean(axis=1))
    return tuple(np.quantile(distances, CERTAIN, axis=1).tolist())
