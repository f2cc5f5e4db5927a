"""Train and measure one variant of cnn7, for ``bench.trial``."""

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from bench.report import TrialReport
from bench.trial_options import TrialOptions
from bench.variants import VARIANTS
from bench.view_bank import ViewBank, begin_or_resume, open_bank
from training.datasets.manifest import Row
from training.evaluation.metrics import Interval, Predictions, area_under_curve, interval
from training.fit.batches import Targets
from training.fit.callbacks import Logs, SeededDropout
from training.fit.checkpoints import Checkpoints, Validation, last_weights, resume
from training.fit.device import KeepMemory, choose_precision
from training.fit.distillation import COMPONENTS
from training.fit.heads import add_training_heads, compile_for_training
from training.fit.last_layers import refit_malignant
from training.fit.recipes import DISTILL, Recipe, Stage
from training.fit.record import Record, code_digest, describe_run
from training.fit.splits import Splits, read_splits

SCORES = "scores.npy"
"""Name of the file with p(malignant) of the validation photos, after the refit."""

_BATCH = 64  # At 256 px 6 % faster than 32.


def run_trial(options: TrialOptions) -> TrialReport:
    """Train a variant from random weights, or continue, and measure it on validation.

    Raises:
        TrialError: the folder contains a trial with other photos, another teacher or other code.
        ManifestError: the manifest or a photo cannot be read.
        DiskFull: there is not enough disk space.
        NotATeacher: the teacher is not suitable.
        InvalidModel: the teacher's file is not a valid model.
    """
    splits = read_splits(options.manifest)
    recipe = _recipe(options)
    run = _describe(options, recipe, splits)
    cache = options.manifest.parent / "cache"
    bank = open_bank(options.folder / "bank", run, splits, cache, options.teacher, recipe)
    keras.utils.set_random_seed(0)
    choose_precision()
    network = VARIANTS[options.variant]()
    run |= {"variant": options.variant, "code of the variants": code_digest(["bench.variants"])}
    folder = options.folder / options.variant
    history = _train(
        network, recipe, bank, splits.val, folder, resumed=begin_or_resume(folder, run)
    )
    trained = _predict(network, bank.val)
    refit_malignant(network, bank.train, splits.train)
    refitted = _predict(network, bank.val)
    np.save(folder / SCORES, refitted)
    base = options.folder / "base" / SCORES
    compared = base.exists() and options.variant != "base"
    return {
        "variant": options.variant,
        "parameters": network.count_params(),
        "views": options.views * options.passes,
        "seconds": round(sum(row["seconds"] for row in history)),
        "cpu_seconds": round(sum(row["cpu_seconds"] for row in history)),
        "trained": aucs(splits.val, trained),
        "refitted": aucs(splits.val, refitted),
        "gain": gains(splits.val, refitted, np.load(base)) if compared else {},
    }


def _recipe(options: TrialOptions) -> Recipe:
    return replace(
        DISTILL,
        stages=(Stage(1.0, options.side, _BATCH),),
        epochs=options.passes,
        images_per_epoch=options.views,
        rates={**DISTILL.rates, "adam": 0.002},  # DEFAULT's rate, for twice its batch size.
    )


def _describe(options: TrialOptions, recipe: Recipe, splits: Splits) -> Record:
    rows: dict[str, Sequence[Row]] = {
        "set of training images": splits.train,
        "set of validation images": splits.val,
        "set of images of other things": splits.others,
    }
    return describe_run("cnn7", recipe, 0, rows, teacher=options.teacher)


def _train(
    network: keras.Model,
    recipe: Recipe,
    bank: ViewBank,
    rows: list[Row],
    folder: Path,
    *,
    resumed: bool,
) -> list[Logs]:
    model = add_training_heads(network, recipe, COMPONENTS, opinion=True)
    compile_for_training(model, recipe, len(bank.views) // _BATCH * recipe.epochs)
    history = resume(model, folder) if resumed else []
    validation = Validation(bank.val, rows, _BATCH)
    clock = _Clock()
    model.fit(
        _Pass(bank, len(history)),
        epochs=recipe.epochs,
        initial_epoch=len(history),
        shuffle=False,
        verbose=0,
        callbacks=[
            KeepMemory(),
            SeededDropout(),
            clock,
            Checkpoints(folder, recipe.average, validation, history),
        ],
    )
    model.set_weights(last_weights(folder))
    return history


class _Pass(keras.utils.PyDataset):
    """All views of the bank in random order, another one in each pass."""

    def __init__(self, bank: ViewBank, number: int) -> None:
        super().__init__()
        self.bank = bank
        self.number = number

    def __len__(self) -> int:
        return len(self.bank.views) // _BATCH

    def on_epoch_end(self) -> None:
        self.number += 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, Targets, Targets]:
        order = np.random.default_rng(self.number).permutation(len(self.bank.views))
        return self.bank.batch(order[index * _BATCH : (index + 1) * _BATCH])


class _Clock(keras.callbacks.Callback):
    """Adds the time of each pass, and the processor time of all threads, to its metrics."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.began = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        logs["seconds"] = time.perf_counter() - self.began[0]
        logs["cpu_seconds"] = time.process_time() - self.began[1]


def _predict(network: keras.Model, images: np.ndarray) -> np.ndarray:
    """p(malignant) of each image, float32 (n,)."""
    starts = range(0, len(images), _BATCH)
    outputs = [network.predict_on_batch(images[start : start + _BATCH]) for start in starts]
    return np.concatenate([output["malignant"] for output in outputs]).ravel()


_PARTS: dict[str, Callable[[Row], bool]] = {
    # The classes of melanoma10k come from different cameras.
    "dermoscopic": lambda row: row.kind == "dermoscopic" and row.source != "melanoma10k",
    "clinical": lambda row: row.kind == "clinical",
    "ham10000": lambda row: row.source == "ham10000",
    "isic2019": lambda row: row.source == "isic2019",
    "milk10k dermoscopic": lambda row: row.source == "milk10k" and row.kind == "dermoscopic",
    "milk10k clinical": lambda row: row.source == "milk10k" and row.kind == "clinical",
    "pad_ufes": lambda row: row.source == "pad_ufes",
    "melanoma10k": lambda row: row.source == "melanoma10k",
}
"""The columns of the table in docs/experiments.md."""


def aucs(rows: list[Row], scores: np.ndarray) -> dict[str, float]:
    """The AUC of each part of ``rows`` that has both classes."""
    labels = np.array([row.malignant for row in rows])
    return {
        name: round(float(roc_auc_score(labels[chosen], scores[chosen])), 4)
        for name, chosen in _parts(rows).items()
    }


def gains(rows: list[Row], scores: np.ndarray, base: np.ndarray) -> dict[str, Interval]:
    """How much higher the AUC of ``scores`` is than that of ``base``, with 95 % intervals.

    Both networks predict the same photos, so their difference varies less than either AUC.
    """
    figures = {}
    for name, chosen in _parts(rows).items():
        ours, theirs = (_predictions(rows, one).subset(chosen) for one in (scores, base))
        difference = functools.partial(_auc_difference, ours, theirs)
        if gain := interval(difference, ours.groups, seed=0, trials=len(ours.groups)):
            figures[name] = gain
    return figures


def _auc_difference(ours: Predictions, theirs: Predictions, weights: np.ndarray) -> np.ndarray:
    return area_under_curve(ours, weights) - area_under_curve(theirs, weights)


def _predictions(rows: list[Row], scores: np.ndarray) -> Predictions:
    labels = np.array([row.malignant for row in rows])
    groups = np.array([row.group for row in rows])
    return Predictions(labels, scores, np.zeros(len(rows), int), groups)


def _parts(rows: list[Row]) -> dict[str, np.ndarray]:
    """The photos of each part that has both classes, bool (n,), by its name."""
    labels = np.array([row.malignant for row in rows])
    parts = {name: np.array([belongs(row) for row in rows]) for name, belongs in _PARTS.items()}
    return {name: chosen for name, chosen in parts.items() if len(set(labels[chosen])) == 2}
