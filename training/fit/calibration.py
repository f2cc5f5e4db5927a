"""Calibrate a trained network on the validation split, and write the model file."""

import dataclasses
import tempfile
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lens import artifact
from lens.card import Card
from lens.engine import open_engine
from lens.verdict import EARLY_STOP_VIEWS, Measurement, measure, photo_faults
from training.datasets.manifest import Row
from training.fit.operating_points import ValidationMeasurements, fit_operating_points

MARGIN_QUANTILE = 0.99
"""The mean logit over the first views differs from the mean over all views by less than the margin,
for this share of the validation photos. The remaining photos could get another verdict; of 1,947
validation photos none did."""


def calibrate(
    model: keras.Model, card: Card, path: Path, images: NDArray[np.uint8], rows: list[Row]
) -> Card:
    """Calibrate a model on validation images and write it with its card.

    Only the card changes, not the network. The file at ``path`` is replaced when the new one is
    complete, so a run that is stopped leaves the old file.

    Args:
        model: the trained network.
        card: the card without the fitted values.
        path: where the ``.h5`` goes.
        images: uint8 (n, 500, 500, 3).
        rows: the images' rows.

    Returns:
        The card with the fitted values.
    """
    card = dataclasses.replace(card, margins=())  # So that every view of every photo is measured.
    measurements = _measure_as_served(model, card, images)
    usable = np.array([not photo_faults(np.asarray(image)) for image in images])
    measured = ValidationMeasurements.collect(measurements, usable, rows)
    card = dataclasses.replace(
        card,
        operating_points=fit_operating_points(measured),
        margins=margins(np.array([one.logits for one in measurements])),
        calibrated=True,
    )
    artifact.save(model, path, card)
    return card


def _measure_as_served(model: keras.Model, card: Card, images: np.ndarray) -> list[Measurement]:
    """Measure the images with the engine that will serve the model, from a temporary file."""
    with tempfile.TemporaryDirectory() as folder:
        uncalibrated = Path(folder) / "uncalibrated.h5"
        artifact.save(model, uncalibrated, card)
        engine = open_engine(uncalibrated, cache_dir=folder)
        return [measure(np.asarray(i), engine, card) for i in tqdm(images, "judging", unit="image")]


def margins(logits: np.ndarray) -> tuple[float, ...]:
    """How far the mean over the first two, and the first four, views is from the mean over all.

    Args:
        logits: float64 (n, views).

    Returns:
        The MARGIN_QUANTILE of both distances, in logits; empty if there is only one view.
    """
    if logits.shape[1] == 1:
        return ()
    partial = np.stack([logits[:, :views].mean(axis=1) for views in EARLY_STOP_VIEWS])
    distances = np.abs(partial - logits.mean(axis=1))
    return tuple(np.quantile(distances, MARGIN_QUANTILE, axis=1).tolist())
