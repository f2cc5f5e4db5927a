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
"""Share of the validation photos whose mean logit over the first views is within the margin of the
mean over all views. The remaining photos could get a different verdict; none of 1,947 validation
photos did."""


def calibrate(
    model: keras.Model, card: Card, path: Path, images: NDArray[np.uint8], rows: list[Row]
) -> Card:
    """Calibrate a model on validation images and write it with its card.

    Only the card changes, not the network. The file at ``path`` is replaced when the new one is
    complete, so an interrupted run leaves the old file intact.

    Args:
        model: the trained network.
        card: the card without the fitted values.
        path: the ``.h5`` file to write.
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
    """Fit the margins: how far a mean logit must be from the threshold to skip the remaining views.

    Args:
        logits: float64 (n, views).

    Returns:
        The quantile ``MARGIN_QUANTILE`` of the distance between the mean over the first two views
        and the mean over all, and the same for the first four; in logits. Empty if there is only
        one view.
    """
    if logits.shape[1] == 1:
        return ()
    partial = np.stack([logits[:, :views].mean(axis=1) for views in EARLY_STOP_VIEWS])
    distances = np.abs(partial - logits.mean(axis=1))
    return tuple(np.quantile(distances, MARGIN_QUANTILE, axis=1).tolist())
