"""Validate the averaged weights after each epoch, and write checkpoints to continue from."""

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from lens.files import replacing
from training.datasets.manifest import Row
from training.fit.auc import auc_by_part
from training.fit.callbacks import Logs

Weights = list[np.ndarray]
"""The weights of a model, as ``get_weights`` returns them."""


class Validation:
    """Computes the loss, accuracy and AUC of a model on the validation images, not augmented.

    Attributes:
        images: uint8 (n, 500, 500, 3).
        rows: their rows.
        batch: number of images per batch.
        size: side of the training images in pixels. The images are shrunk by the integer part of
            500 / ``size``, so they keep their size if ``size`` is above 250.
    """

    def __init__(self, images: np.ndarray, rows: list[Row], batch: int) -> None:
        self.images = images
        self.rows = rows
        self.batch = batch
        self.size = images.shape[1]

    def __call__(self, model: keras.Model) -> Logs:
        labels = np.array([row.malignant for row in self.rows])
        factor = self.images.shape[1] // self.size
        probabilities = np.concatenate(
            [
                model.predict_on_batch(shrink(self.images[i : i + self.batch], factor))["malignant"]
                for i in range(0, len(labels), self.batch)
            ]
        ).ravel()
        clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
        figures = {
            "val_loss": float(-np.log(np.where(labels, clipped, 1 - clipped)).mean()),
            "val_accuracy": float(((probabilities >= 0.5) == labels).mean()),
            "val_auc": float(roc_auc_score(labels, probabilities)),
        }
        parts = auc_by_part(self.rows, probabilities)
        return figures | {f"val_auc_{name}": auc for name, auc in parts.items()}


class Checkpoints(keras.callbacks.Callback):
    """Validates the averaged weights after each epoch, and saves the last and the best ones.

    Keras's ``SwapEMAWeights`` overwrites the raw weights at the end of a fit, so a run of two
    stages could not be continued exactly. Here the average is kept beside the model.

    Files in ``folder``, where N is the number of epochs done: ``last-N.weights.h5`` (raw weights
    and optimizer), ``average-N.npz``, ``best.npz`` and ``state.json`` (the history). ``state.json``
    is written last and determines N. So a run killed while writing continues from the
    previous epoch.
    """

    def __init__(
        self,
        folder: Path,
        average: float,
        validation: Callable[[keras.Model], Logs],
        history: list[Logs],
    ) -> None:
        """Create the callback.

        Args:
            folder: an existing folder for the files.
            average: momentum of the moving average of the weights, 0-1; 0 for no averaging.
            validation: computes the metrics of a model, ``val_auc`` among them.
            history: metrics of the epochs before a resume; each new epoch is appended.
        """
        super().__init__()
        self.folder = folder
        self.momentum = average
        self.validation = validation
        self.history = history
        self.averaged: Weights = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if not self.averaged:
            resumed = bool(self.history)
            self.averaged = last_weights(self.folder) if resumed else self.model.get_weights()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        weights = self.model.get_weights()
        if not self.momentum:
            self.averaged = weights
            return
        # A lower momentum in the first steps forgets the random initial weights sooner
        # (TensorFlow's ExponentialMovingAverage does the same).
        step = int(self.model.optimizer.iterations)
        momentum = min(self.momentum, (1 + step) / (10 + step))
        for mean, value in zip(self.averaged, weights, strict=True):
            mean *= momentum
            mean += (1 - momentum) * value

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        raw = self.model.get_weights()
        self.model.set_weights(self.averaged)
        rate = float(self.model.optimizer.learning_rate)
        figures = {**(logs or {}), "learning_rate": rate, **self.validation(self.model)}
        self.model.set_weights(raw)
        if logs is not None:
            logs.update(figures)  # EarlyStopping reads val_loss here.
        best = max((row["val_auc"] for row in self.history), default=-1.0)
        self.history.append({"epoch": epoch + 1, **{k: float(v) for k, v in figures.items()}})
        if figures["val_auc"] > best:
            _write_weights(self.folder / "best.npz", self.averaged)
        self._write_state()
        parts = " ".join(
            f"{name.removeprefix('val_auc_')} {value:.3f}"
            for name, value in figures.items()
            if name.startswith("val_auc_")
        )
        print(f"epoch {epoch + 1}: validation AUC {figures['val_auc']:.4f} ({parts})", flush=True)

    def _write_state(self) -> None:
        done = len(self.history)
        _write_weights(self.folder / f"average-{done}.npz", self.averaged)
        self.model.save_weights(self.folder / f"last-{done}.weights.h5")
        with replacing(self.folder / "state.json") as partial:
            partial.write_text(json.dumps(self.history, indent=1))
        (self.folder / f"average-{done - 1}.npz").unlink(missing_ok=True)
        (self.folder / f"last-{done - 1}.weights.h5").unlink(missing_ok=True)


def resume(model: keras.Model, folder: Path) -> list[Logs]:
    """Load the last checkpoint into a compiled model, and return the history of its epochs."""
    model.optimizer.build(model.trainable_variables)
    history: list[Logs] = json.loads((folder / "state.json").read_text())
    model.load_weights(folder / f"last-{len(history)}.weights.h5")
    return history


def best_weights(folder: Path) -> Weights:
    """The averaged weights of the epoch with the best validation AUC."""
    return _read_weights(folder / "best.npz")


def last_weights(folder: Path) -> Weights:
    """The averaged weights after the last complete epoch."""
    return _read_weights(last_weights_file(folder))


def last_weights_file(folder: Path) -> Path:
    """Path of the file that ``last_weights`` reads."""
    history = json.loads((folder / "state.json").read_text())
    return folder / f"average-{len(history)}.npz"


def shrink(images: np.ndarray, factor: int) -> np.ndarray:
    """Average boxes of ``factor`` x ``factor`` pixels, as ``Augmentation`` does.

    Args:
        images: uint8 (n, side, side, 3).
        factor: side of a box in pixels.

    Returns:
        float32 (n, side // factor, side // factor, 3); the images themselves if ``factor`` is 1.
    """
    if factor == 1:
        return images
    count, side = len(images), images.shape[1] // factor
    cropped = images[:, : side * factor, : side * factor]
    boxes = cropped.reshape(count, side, factor, side, factor, 3)
    means: np.ndarray = boxes.mean(axis=(2, 4), dtype=np.float32)
    return means


def _write_weights(path: Path, weights: Weights) -> None:
    with replacing(path) as partial:
        np.savez(partial, *weights)


def _read_weights(path: Path) -> Weights:
    with np.load(path) as file:
        return [file[name] for name in file.files]
