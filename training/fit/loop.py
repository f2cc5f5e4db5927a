"""Fit a network in the stages of a recipe, with checkpoints from which a later run continues."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from training.datasets.manifest import Row
from training.fit.batches import Batches, Examples
from training.fit.callbacks import (
    FiniteLoss,
    Logs,
    Progress,
    Replay,
    SeededDropout,
    loggers,
)
from training.fit.checkpoints import Checkpoints, Validation, best_weights
from training.fit.checkpoints import resume as resume_from
from training.fit.device import KeepMemory, host
from training.fit.heads import add_training_heads, compile_for_training
from training.fit.recipes import Recipe, Stage
from training.fit.sampling import sampling_weights


class _Epochs(NamedTuple):
    """The epochs of a stage, from ``first`` to before ``end``, and the steps of each."""

    stage: Stage
    first: int
    end: int
    steps: int


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
) -> list[Logs]:
    """Train a network in place; it ends with the weights of its best epoch by validation AUC.

    Args:
        network: a model of ``training.networks``.
        recipe: how to train it.
        examples: the training images.
        validation: selects the best epoch.
        seed: seed of sampling and augmentation.
        folder: for checkpoints.
        resume: continue from the checkpoints in ``folder``.
        callbacks: further callbacks, called last.

    Returns:
        The metrics of each epoch, including those before a resume.

    Raises:
        TrainingError: the loss is no longer finite.
    """
    plan = _plan(recipe, examples.rows)
    teacher = examples.teacher
    model = add_training_heads(
        network,
        recipe,
        teacher.components if teacher else 0,
        opinion=bool(teacher and teacher.knows_lesions),
    )
    compile_for_training(model, recipe, sum(part.steps * (part.end - part.first) for part in plan))
    history = resume_from(model, folder) if resume else []
    folder.mkdir(parents=True, exist_ok=True)
    checkpoints = Checkpoints(folder, recipe.average, validation, history)
    progress = Progress(recipe.epochs, _pixels_left(plan, len(history)))
    for stage, first, end, steps in plan:
        start = max(first, len(history))
        if start >= end or _stopped_early(model, recipe, history):
            continue
        validation.size = stage.size
        batches = open_batches(
            examples, recipe, stage, tuple(model.output), steps=steps, seed=seed, epoch=start
        )
        progress.stage(stage.batch, stage.size)
        own = [KeepMemory(), SeededDropout(), FiniteLoss(batches.images_of), progress, checkpoints]
        more = [*loggers(folder, history), *callbacks]
        model.fit(
            batches,
            epochs=end,
            initial_epoch=start,
            shuffle=False,  # Batches are random already, and a resumed run needs their order.
            verbose=0,
            callbacks=[*own, *_plateau_callbacks(model, recipe, history[:start]), *more],
        )
    model.set_weights(best_weights(folder))
    return history


def _plan(recipe: Recipe, rows: list[Row]) -> list[_Epochs]:
    """The stages that have at least one epoch."""
    malignant = sum(row.malignant for row in rows)
    balanced = 2 * min(malignant, len(rows) - malignant)
    images = recipe.images_per_epoch or (balanced if recipe.balanced else len(rows))
    plan, first, share = [], 0, 0.0
    for stage in recipe.stages:
        share += stage.share
        end = round(share * recipe.epochs)
        if end > first:
            plan.append(_Epochs(stage, first, end, max(1, images // stage.batch)))
        first = end
    return plan


def _pixels_left(plan: list[_Epochs], done: int) -> int:
    """Pixels of all images in the epochs that are not done yet."""
    return sum(
        max(0, end - max(first, done)) * steps * stage.batch * stage.size**2
        for stage, first, end, steps in plan
    )


def _plateau_callbacks(
    model: keras.Model, recipe: Recipe, history: list[Logs]
) -> list[keras.callbacks.Callback]:
    if not recipe.plateau:
        return []
    # Keras puts the name of the output first if there are several.
    monitor = "accuracy" if len(model.output) == 1 else "malignant_accuracy"
    chosen = [
        keras.callbacks.ReduceLROnPlateau(monitor=monitor, factor=0.5, patience=3, mode="max"),
        _early_stopping(),
    ]
    return [*chosen, Replay(chosen, history)]


def _early_stopping() -> keras.callbacks.EarlyStopping:
    return keras.callbacks.EarlyStopping(monitor="val_loss", patience=10, verbose=1)


def _stopped_early(model: keras.Model, recipe: Recipe, history: list[Logs]) -> bool:
    """Whether early stopping has ended the run, so that nothing is left to train.

    If ``Replay`` stopped the training instead, Keras would first train one more batch, and count it
    as an epoch.
    """
    if not recipe.plateau:
        return False
    stopping = _early_stopping()
    stopping.set_model(model)
    stopping.on_train_begin()
    for row in history:
        stopping.on_epoch_end(row["epoch"] - 1, row)
    return stopping.stopped_epoch > 0


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
    """The batches of a stage, sampled and augmented as the recipe says, from ``epoch`` on."""
    rows = examples.rows
    uniform = np.full(len(rows), 1 / len(rows))
    return Batches(
        examples,
        weights=sampling_weights(rows) if recipe.balanced else uniform,
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
