"""Fit a network to examples in stages, with checkpoints that a later run continues exactly."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from lens.files import replacing
from training.datasets.manifest import Row
from training.fit.batches import DIAGNOSES, Batches, Examples, sampling_weights
from training.fit.callbacks import (
    FiniteLoss,
    Progress,
    Replay,
    SeededDropout,
    loggers,
)
from training.fit.device import KeepMemory, host
from training.fit.distillation import Lessons
from training.fit.recipes import Recipe, Stage

Epoch = dict[str, float]
"""The figures of an epoch by name: ``epoch``, ``loss``, ``val_auc`` ..."""


def learner(network: keras.Model, recipe: Recipe, lessons: Lessons | None) -> keras.Model:
    """The network with the outputs that are trained: its own, and heads used in training alone.

    Args:
        network: a model of ``training.networks``.
        recipe: names the outputs that have a loss.
        lessons: a teacher, or None.

    Returns:
        A model over the same input and weights, its outputs a dict.
    """
    for layer in network.layers:
        layer.trainable = not layer.name.startswith(recipe.frozen)
    outputs = {name: network.output[name] for name in network.output if name != "heat_map"}
    if "lesion" in outputs:
        embedding = network.get_layer("embedding").output
        dense = keras.layers.Dense
        outputs["diagnosis"] = dense(len(DIAGNOSES), "softmax", dtype="float32")(embedding)
        if lessons:
            outputs["teacher"] = dense(lessons.components, dtype="float32")(embedding)
        if lessons and lessons.knows_lesions:
            # A calibrated teacher knows that malignant is rare; in training it is half of all. The
            # scale and the offset of this layer are what lies between.
            opinion = dense(1, "sigmoid", kernel_initializer="ones", dtype="float32")
            outputs["opinion"] = opinion(network.get_layer("logit").output)
    return keras.Model(network.input, {n: outputs[n] for n in recipe.loss_weights if n in outputs})


def compile_learner(model: keras.Model, recipe: Recipe, steps: int) -> None:
    """Compile with the recipe's losses and optimizer over ``steps`` steps."""
    rate = recipe.rates[recipe.optimizer]
    if recipe.cosine:
        warmup = max(1, steps // 20)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(1, steps - warmup), warmup_target=rate, warmup_steps=warmup
        )
    optimizers: dict[str, Callable[[], keras.Optimizer]] = {
        "sgd": lambda: keras.optimizers.SGD(
            rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0
        ),
        "adam": lambda: keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay),
        "rmsprop": lambda: keras.optimizers.RMSprop(rate),
    }
    losses = {
        "malignant": keras.losses.BinaryCrossentropy(label_smoothing=recipe.label_smoothing),
        "lesion": keras.losses.BinaryCrossentropy(),
        "diagnosis": keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing),
        "teacher": keras.losses.CosineSimilarity(),
        "opinion": keras.losses.BinaryCrossentropy(),
    }
    names = list(model.output)
    model.compile(
        optimizers[recipe.optimizer](),
        loss={name: losses[name] for name in names},
        loss_weights={name: recipe.loss_weights[name] for name in names},
        weighted_metrics={
            "malignant": [
                keras.metrics.BinaryAccuracy(name="accuracy"),
                keras.metrics.AUC(name="auc"),
            ]
        },
    )


class Checkpoints(keras.callbacks.Callback):
    """Validates the averaged weights after each epoch and keeps the last and the best.

    Keras's own ``SwapEMAWeights`` overwrites the raw weights when a fit ends, so that a run of two
    stages could not be continued exactly; this average stands beside the model until it is asked.

    Files in ``folder``, N being the epochs done: ``last-N.weights.h5`` (raw weights and optimizer),
    ``average-N.npz``, ``best.npz`` and ``state.json``, the history. That is written last and says
    what N is, so that a run killed while it writes goes on from the epoch before.
    """

    def __init__(
        self, folder: Path, average: float, validation: "Validation", history: list[Epoch]
    ) -> None:
        super().__init__()
        self.folder = folder
        self.momentum = average
        self.validation = validation
        self.history = history
        self.averaged: list[np.ndarray] = []

    def on_train_begin(self, logs: dict | None = None) -> None:
        if not self.averaged:
            resumed = bool(self.history)
            self.averaged = last_weights(self.folder) if resumed else self.model.get_weights()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        weights = self.model.get_weights()
        if not self.momentum:
            self.averaged = weights
            return
        # Young averages forget their random start sooner (the warm-up of TensorFlow's EMA).
        step = int(self.model.optimizer.iterations)
        momentum = min(self.momentum, (1 + step) / (10 + step))
        for mean, value in zip(self.averaged, weights, strict=True):
            mean *= momentum
            mean += (1 - momentum) * value

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
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
        done = len(self.history)
        _write_weights(self.folder / f"average-{done}.npz", self.averaged)
        self.model.save_weights(self.folder / f"last-{done}.weights.h5")
        with replacing(self.folder / "state.json") as partial:
            partial.write_text(json.dumps(self.history, indent=1))
        (self.folder / f"average-{done - 1}.npz").unlink(missing_ok=True)
        (self.folder / f"last-{done - 1}.weights.h5").unlink(missing_ok=True)
        sources = " ".join(
            f"{name.removeprefix('val_auc_')} {value:.3f}"
            for name, value in figures.items()
            if name.startswith("val_auc_")
        )
        print(f"epoch {epoch + 1}: validation AUC {figures['val_auc']:.4f} ({sources})", flush=True)


class Validation:
    """Loss, accuracy and AUC of a model on the validation rows, plain images, no augmentation."""

    def __init__(self, images: np.ndarray, rows: list[Row], batch: int) -> None:
        self.images = images
        self.rows = rows
        self.batch = batch
        self.size = images.shape[1]

    def __call__(self, model: keras.Model) -> dict[str, float]:
        labels = np.array([row.malignant for row in self.rows])
        step = self.images.shape[1] // self.size
        probabilities = np.concatenate(
            [
                model.predict_on_batch(_shrink(self.images[i : i + self.batch], step))["malignant"]
                for i in range(0, len(labels), self.batch)
            ]
        ).ravel()
        clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
        figures = {
            "val_loss": float(-np.log(np.where(labels, clipped, 1 - clipped)).mean()),
            "val_accuracy": float(((probabilities >= 0.5) == labels).mean()),
            "val_auc": float(roc_auc_score(labels, probabilities)),
        }
        for source in sorted({row.source for row in self.rows}):
            chosen = np.array([row.source == source for row in self.rows])
            if len(set(labels[chosen])) == 2:
                figures[f"val_auc_{source}"] = float(
                    roc_auc_score(labels[chosen], probabilities[chosen])
                )
        return figures


def fit(
    network: keras.Model,
    recipe: Recipe,
    examples: Examples,
    validation: Validation,
    *,
    seed: int,
    folder: Path,
    resume: bool,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[Epoch]:
    """Train a network in place, to the weights of its best epoch by validation AUC.

    Args:
        network: a model of ``training.networks``.
        recipe: how.
        examples: what from.
        validation: what decides on the best epoch.
        seed: of sampling and augmentation.
        folder: for checkpoints.
        resume: go on from the checkpoints in ``folder``; ``training.fit.record`` tells whether
            they may.
        callbacks: more of them, called last.

    Returns:
        The figures of each epoch.

    Raises:
        TrainingError: the loss is no longer finite.
    """
    plan = _plan(recipe)
    counts = [max(1, _drawn(recipe, examples.rows) // stage.batch) for _, _, stage in plan]
    steps = sum((last - first) * n for (first, last, _), n in zip(plan, counts, strict=True))
    model = learner(network, recipe, examples.lessons)
    compile_learner(model, recipe, steps)
    history = _resume(model, folder) if resume else []
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(folder, recipe.average, validation, history)
    progress = Progress(recipe.epochs, _pixels(plan, counts, len(history)))
    for (first, last, stage), count in zip(plan, counts, strict=True):
        start = max(first, len(history))
        if start >= last:
            continue
        validation.size = stage.size
        batches = open_batches(
            examples, recipe, stage, tuple(model.output), steps=count, seed=seed, epoch=start
        )
        progress.stage(stage.batch, stage.size)
        model.fit(
            batches,
            epochs=last,
            initial_epoch=start,
            shuffle=False,  # Batches are drawn at random; their order must not be, to resume.
            verbose=0,
            callbacks=[
                KeepMemory(),
                SeededDropout(),
                FiniteLoss(batches.images_of),
                progress,
                checkpoints,
                *_plateau(recipe, history[:start]),
                *loggers(folder, history),
                *callbacks,
            ],
        )
    model.set_weights(_read_weights(folder / "best.npz"))
    return history


def _plan(recipe: Recipe) -> list[tuple[int, int, Stage]]:
    """First epoch, epoch after the last, and stage, for each stage that has any."""
    plan, first, share = [], 0, 0.0
    for stage in recipe.stages:
        share += stage.share
        last = round(share * recipe.epochs)
        if last > first:
            plan.append((first, last, stage))
        first = last
    return plan


def _plateau(recipe: Recipe, history: list[Epoch]) -> list[keras.callbacks.Callback]:
    if not recipe.plateau:
        return []
    chosen = [
        keras.callbacks.ReduceLROnPlateau(monitor="accuracy", factor=0.5, patience=3, mode="max"),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=10, verbose=1),
    ]
    return [*chosen, Replay(chosen, history)]


def open_batches(
    examples: Examples,
    recipe: Recipe,
    stage: Stage,
    outputs: tuple[str, ...],
    *,
    steps: int,
    seed: int,
    epoch: int,
) -> Batches:
    """Batches of a stage as the recipe draws and changes them, from this epoch on."""
    rows = examples.rows
    even = np.full(len(rows), 1 / len(rows))
    return Batches(
        examples,
        weights=sampling_weights(rows) if recipe.balanced else even,
        outputs=outputs,
        augmentation=recipe.augmentation,
        size=stage.size,
        batch=stage.batch,
        steps=steps,
        other_share=recipe.other_share,
        graft_share=recipe.graft_share,
        seed=seed,
        epoch=epoch,
        host=host(),
    )


def _drawn(recipe: Recipe, rows: list[Row]) -> int:
    """Images drawn an epoch."""
    malignant = sum(row.malignant for row in rows)
    balanced = 2 * min(malignant, len(rows) - malignant)
    return recipe.images_per_epoch or (balanced if recipe.balanced else len(rows))


def _pixels(plan: list[tuple[int, int, Stage]], counts: list[int], done: int) -> int:
    """Of all the images of the epochs to come."""
    return sum(
        max(0, last - max(first, done)) * count * stage.batch * stage.size**2
        for (first, last, stage), count in zip(plan, counts, strict=True)
    )


def _resume(model: keras.Model, folder: Path) -> list[Epoch]:
    model.optimizer.build(model.trainable_variables)
    history: list[Epoch] = json.loads((folder / "state.json").read_text())
    model.load_weights(folder / f"last-{len(history)}.weights.h5")
    return history


def last_weights(folder: Path) -> list[np.ndarray]:
    """The averaged weights after the last whole epoch of the run in this folder."""
    return _read_weights(last_weights_file(folder))


def last_weights_file(folder: Path) -> Path:
    """Where ``last_weights`` are."""
    history = json.loads((folder / "state.json").read_text())
    return folder / f"average-{len(history)}.npz"


def _shrink(images: np.ndarray, step: int) -> np.ndarray:
    """Average boxes of ``step`` x ``step`` pixels, as ``Augmentation`` does."""
    if step == 1:
        return images
    count, side = len(images), images.shape[1] // step
    whole = images[:, : side * step, : side * step]
    boxes = whole.reshape(count, side, step, side, step, 3)
    return boxes.mean(axis=(2, 4), dtype=np.float32)


def _write_weights(path: Path, weights: list[np.ndarray]) -> None:
    with replacing(path) as partial:
        np.savez(partial, *weights)


def _read_weights(path: Path) -> list[np.ndarray]:
    with np.load(path) as file:
        return [file[name] for name in file.files]
