"""A bank of augmented views on disk, with the outputs of a teacher, which predicts each once."""

import json
import shutil
from dataclasses import dataclass, replace
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from tqdm import tqdm

from lens.files import replacing
from training.cli import CommandError
from training.fit import record
from training.fit.batches import DIAGNOSES, Examples, Targets
from training.fit.distillation import COMPONENTS
from training.fit.image_cache import DiskFull
from training.fit.loop import open_batches
from training.fit.recipes import Recipe
from training.fit.run import open_splits
from training.fit.splits import Splits

OUTPUTS = {
    "malignant": 1,
    "lesion": 1,
    "kind": 1,
    "diagnosis": len(DIAGNOSES),
    "teacher": COMPONENTS,
    "opinion": 1,
}
"""The outputs that have targets, and the number of their values."""

_SAVE_EVERY = 50  # Batches; they take about a minute.
_THREADS = 3  # The teacher predicts one batch at a time, while the others are being made.
_TEACHER_SCALE = 2  # The teacher sees each view at twice the side: 320 px for 160 px, its own size.


@dataclass(frozen=True)
class ViewBank:
    """The views, and the photos of the splits at the same size.

    Attributes:
        views: augmented training photos, uint8 (n, side, side, 3).
        targets: targets of each view, one output after the other, float32 (n, values).
        weights: sample weight of each output, float32 (n, outputs).
        train, val: the photos of the splits, not augmented, uint8 (m, side, side, 3).
    """

    views: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    train: np.ndarray
    val: np.ndarray

    def batch(self, chosen: np.ndarray) -> tuple[np.ndarray, Targets, Targets]:
        """The chosen views, and the targets and the sample weights of each output."""
        chosen = np.sort(chosen)  # Reads a memory map from start to end.
        ends = np.cumsum(list(OUTPUTS.values()))[:-1]
        targets = np.split(self.targets[chosen], ends, axis=1)
        weights = self.weights[chosen].T
        return (
            self.views[chosen],
            dict(zip(OUTPUTS, targets, strict=True)),
            dict(zip(OUTPUTS, weights, strict=True)),
        )


class TrialError(CommandError):
    """The folder contains another trial; the message says what differs."""


def begin_or_resume(folder: Path, run: record.Record) -> bool:
    """Begin a run in an empty folder, or check that the folder contains the same run.

    Returns:
        Whether there is something to resume.

    Raises:
        TrialError: it contains a part of another run.
    """
    if not (folder / "state.json").exists():
        record.begin(folder, run)
        return False
    if differing := record.differences(folder, run):
        raise TrialError(
            f"{folder}: made with another {', '.join(differing)}; delete it, or choose another "
            "--folder"
        )
    return True


def open_bank(
    folder: Path, run: record.Record, splits: Splits, cache: Path, teacher: Path, recipe: Recipe
) -> ViewBank:
    """Open the bank in ``folder``; the first call fills it, and can be interrupted and repeated.

    Args:
        folder: for the files of the bank.
        run: what the bank depends on.
        splits: the photos.
        cache: folder for the decoded photos.
        teacher: model file of an ``efficientnet_lite0``.
        recipe: how to draw and augment the photos, the side of the views, and their number,
            ``images_per_epoch``, a multiple of the batch size.

    Raises:
        TrialError: the folder contains another bank.
        ManifestError: a photo cannot be read.
        DiskFull: there is not enough disk space.
        NotATeacher: the teacher is not suitable.
        InvalidModel: the teacher's file is not a valid model.
    """
    views, side = recipe.images_per_epoch, recipe.stages[0].size
    state = folder / "state.json"
    done = json.loads(state.read_text()) if begin_or_resume(folder, run) else 0
    if done < views:
        examples, validation = open_splits(splits, cache, str(teacher))
        if not done:
            _check_space(folder, views + len(examples.rows) + len(validation.rows), side)
            np.save(folder / "train.npy", _shrunk(examples.images, side))
            np.save(folder / "val.npy", _shrunk(validation.images, side))
            _create(folder, views, side)
        _fill(_load(folder, "r+"), examples, recipe, done, state)
    return _load(folder, "r")


def _check_space(folder: Path, images: int, side: int) -> None:
    """Check now, because writing to a memory map on a full disk kills the process."""
    needed, free = images * side**2 * 3, shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            f"{folder}: expected {needed / 1e6:,.0f} MB of disk space for the views, got "
            f"{free / 1e6:,.0f} MB"
        )


def _create(folder: Path, views: int, side: int) -> None:
    shapes = {
        "views": (np.uint8, (views, side, side, 3)),
        "targets": (np.float32, (views, sum(OUTPUTS.values()))),
        "weights": (np.float32, (views, len(OUTPUTS))),
    }
    for name, (dtype, shape) in shapes.items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)


def _load(folder: Path, mode: Literal["r", "r+"]) -> ViewBank:
    names = ("views", "targets", "weights", "train", "val")
    return ViewBank(*(np.load(folder / f"{name}.npy", mmap_mode=mode) for name in names))


def _fill(bank: ViewBank, examples: Examples, recipe: Recipe, done: int, state: Path) -> None:
    stage = recipe.stages[0]
    large = replace(stage, size=_TEACHER_SCALE * stage.size)
    steps = len(bank.views) // stage.batch
    batches = open_batches(examples, recipe, large, tuple(OUTPUTS), steps=steps, seed=0, epoch=0)
    numbers = range(done // stage.batch, steps)
    with ThreadPool(_THREADS) as pool:
        made = pool.imap(batches.__getitem__, numbers)
        for number in tqdm(numbers, "teacher", unit="batch"):
            pixels, targets, weights = next(made)
            part = slice(number * stage.batch, (number + 1) * stage.batch)
            bank.views[part] = _shrunk(pixels, stage.size)
            bank.targets[part] = np.hstack([targets[name] for name in OUTPUTS])
            bank.weights[part] = np.stack([weights[name] for name in OUTPUTS], axis=1)
            if (number + 1) % _SAVE_EVERY == 0 or number + 1 == steps:
                with replacing(state) as partial:
                    partial.write_text(json.dumps(part.stop))


def _shrunk(images: np.ndarray, side: int) -> np.ndarray:
    """Shrink images, uint8 (n, ...), to a smaller side by averaging areas."""
    sizes = (side, side)
    return np.stack([cv2.resize(one, sizes, interpolation=cv2.INTER_AREA) for one in images])
