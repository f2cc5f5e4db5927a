"""Fit what turns logits into verdicts, on the validation split alone."""

import dataclasses
import math
from pathlib import Path

import keras
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from tqdm import tqdm

from lens import artifact
from lens.card import Card, OperatingPoint, for_all_kinds
from lens.engine import Engine, open_engine
from lens.verdict import PARTS, Measurement, measure, photo_faults
from training.datasets.manifest import Row
from training.datasets.sources import DERMOSCOPY

TARGET_SENSITIVITY = 0.95
"""Sensitivity on validation that sets the threshold: at most one malignant lesion in 20 missed."""

FALSE_REFUSALS = {"dermoscopy": 0.005, "other": 0.015}
"""Share of validation lesions that the lesion output may refuse, of each kind of photo: half of
what is borne (1 % and 3 %), for the next photos are never quite the same. One share of all of them
was spent on smartphone photos: 6.6 % of these were refused, and 0.5 % of dermoscopy."""


ROUNDING = 1e-3
"""Logits by which the threshold stands below the lesion that sets it. The file's bias is rounded to
float32 after that lesion was measured, and left on the threshold it fell below in half of 400
simulated runs; bfloat16 rounds more."""

REFUSED_PROBABILITY = 1e-6
"""Stands for p(malignant) of a lesion that is refused; where more than one malignant in 20 is, all
that are not are called malignant."""

CERTAIN = 0.99
"""Share of validation photos whose mean logit over some views is within the margin of the mean over
all. A verdict differs only where a photo at the margin is among the others: with the fourth model
none of 1,947 did."""


def measure_all(images: np.ndarray, engine: Engine, card: Card) -> list[Measurement]:
    """``lens.verdict.measure`` of many images, uint8 (n, 500, 500, 3), with a progress bar."""
    return [measure(np.asarray(i), engine, card) for i in tqdm(images, "judging", unit="image")]


def calibrate(
    model: keras.Model, card: Card, path: Path, images: np.ndarray, rows: list[Row]
) -> Card:
    """Calibrate a model on validation images and write it with its card.

    Platt scaling (Platt 1999): the slope becomes the card's temperature; the offset, which undoes
    the balanced sampling of training, is added to the network's own bias, so that the file's
    p(malignant) is honest for a program that never reads the card.

    Args:
        model: the trained network; its bias is changed in place.
        card: what is known so far.
        path: where the ``.h5`` goes.
        images: uint8 (n, 500, 500, 3).
        rows: the n images' rows.

    Returns:
        The card written.
    """
    labels = np.array([row.malignant for row in rows])
    card = dataclasses.replace(card, margins=())  # Every view of every photo is asked for.
    artifact.save(model, path, card)
    measured = measure_all(images, open_engine(path), card)
    logits = np.array([m.logit for m in measured])
    temperature, offset = fit_platt(logits, labels)
    bias = _bias(model)
    bias.assign(bias + offset)
    lesion_threshold = _lesion_threshold(measured, rows)
    answered = _answered(measured, images, lesion_threshold)
    probabilities = np.where(
        answered, expit((logits + offset - ROUNDING) / temperature), REFUSED_PROBABILITY
    )
    point = OperatingPoint(
        threshold=threshold_at(probabilities, labels, TARGET_SENSITIVITY),
        threshold_rule=f"highest with {TARGET_SENSITIVITY:.0%} sensitivity on the validation split",
        temperature=temperature,
        lesion_threshold=lesion_threshold,
    )
    card = dataclasses.replace(
        card,
        operating_points=for_all_kinds(point),
        margins=margins(np.array([m.logits for m in measured])),
        calibrated=True,
    )
    artifact.save(model, path, card)
    return card


def _answered(
    measured: list[Measurement], images: np.ndarray, lesion_threshold: float | None
) -> np.ndarray:
    """Which images get a verdict, bool (n,): a malignant lesion that is refused is not found."""
    is_lesion = [
        lesion_threshold is None or (one.lesion is not None and one.lesion >= lesion_threshold)
        for one in measured
    ]
    plain = [not photo_faults(np.asarray(image)) for image in images]
    return np.array(is_lesion) & np.array(plain)


def _lesion_threshold(measured: list[Measurement], rows: list[Row]) -> float | None:
    kinds: dict[str, list[float]] = {}
    for one, row in zip(measured, rows, strict=True):
        if one.lesion is not None:
            kind = "dermoscopy" if row.source in DERMOSCOPY else "other"
            kinds.setdefault(kind, []).append(one.lesion)
    quantiles = [float(np.quantile(said, FALSE_REFUSALS[kind])) for kind, said in kinds.items()]
    return min(quantiles, default=None)


def margins(logits: np.ndarray) -> tuple[float, ...]:
    """How far the mean over the first two and four views lies from the mean over all, at most.

    Args:
        logits: float64 (n, views).

    Returns:
        The CERTAIN quantile of each distance, in logits; nothing where there is one view.
    """
    if logits.shape[1] == 1:
        return ()
    partial = np.stack([logits[:, :views].mean(axis=1) for views in PARTS])
    distances = np.abs(partial - logits.mean(axis=1))
    return tuple(np.quantile(distances, CERTAIN, axis=1).tolist())


def fit_platt(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Temperature and offset that minimise the log loss of ``expit((logits + offset) / T)``.

    The targets are Platt's smoothed ones, a little inside 0 and 1: with plain labels the best
    temperature for a perfect separation would be zero.
    """
    malignant = int(labels.sum())
    targets = np.where(
        labels == 1, (malignant + 1) / (malignant + 2), 1 / (len(labels) - malignant + 2)
    )

    def loss(parameters: np.ndarray) -> float:
        scaled = (logits + parameters[1]) / math.exp(parameters[0])
        return float(np.mean(np.logaddexp(0, scaled) - targets * scaled))

    found = minimize(loss, np.zeros(2), method="Nelder-Mead")
    return math.exp(found.x[0]), float(found.x[1])


def threshold_at(probabilities: np.ndarray, labels: np.ndarray, sensitivity: float) -> float:
    """The highest threshold at which at least ``sensitivity`` of the malignant are found."""
    malignant = np.sort(probabilities[labels == 1])
    missed = math.floor((1 - sensitivity) * len(malignant))
    return float(malignant[missed])


def _bias(model: keras.Model) -> keras.Variable:
    """The bias added to every logit: of ``heat_map`` in cnn7, of ``malignant`` in the paper's."""
    name = "heat_map" if "heat_map" in model.output else "malignant"
    return model.get_layer(name).bias
