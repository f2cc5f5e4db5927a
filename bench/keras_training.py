"""The Keras contenders of ``bench.train``: cnn7 and the default recipe, as in training."""

import tempfile
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path

import keras
import numpy as np
from PIL import ImageOps

from bench.photos import paint
from bench.report import Speed
from lens.images import SIZE
from training import networks
from training.datasets.manifest import Row
from training.fit.batches import Batches, Examples, Targets
from training.fit.callbacks import FiniteLoss, Logs, Progress, SeededDropout
from training.fit.checkpoints import Checkpoints
from training.fit.device import KeepMemory, choose_precision
from training.fit.heads import add_training_heads, compile_for_training
from training.fit.loop import open_batches
from training.fit.recipes import DEFAULT, Stage

STEPS = 100_000
"""More than any measurement makes; ``Clock`` stops it."""
WARM_UP_STEPS = 3
"""Steps that are not counted: the first one compiles, while the queue of batches fills."""


class Clock(keras.callbacks.Callback):
    """Stops training after ``seconds``, and measures the images per second."""

    def __init__(self, seconds: float, batch: int) -> None:
        super().__init__()
        self.seconds = seconds
        self.batch = batch
        self.began = 0.0
        self.images_per_s = 0.0

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        now = time.perf_counter()
        if batch < WARM_UP_STEPS:
            self.began = now
            return
        passed = now - self.began
        self.images_per_s = (batch - WARM_UP_STEPS + 1) * self.batch / passed
        if passed > self.seconds:
            self.model.stop_training = True


Batch = tuple[np.ndarray, Targets, Targets]


class Repeated(keras.utils.PyDataset):
    """Returns the same batch for every step, from memory."""

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self.batch = batch

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> Batch:
        return self.batch


def bare_step(size: int, _path: Path, seconds: float) -> Speed:
    """Repeat the compiled training step on one batch, and nothing else."""
    model, batches, policy = _open(size)
    clock = Clock(seconds, batches.batch)
    model.fit(Repeated(batches[0]), verbose=0, shuffle=False, callbacks=[KeepMemory(), clock])
    return {"images_per_s": clock.images_per_s, "precision": policy}


def feed(size: int, _path: Path, seconds: float) -> Speed:
    """Make batches with as many threads as in training, and discard them."""
    _, batches, _ = _open(size)
    done, began = 0, time.perf_counter()
    with ThreadPool(batches.workers) as pool:
        for _ in pool.imap(batches.__getitem__, range(STEPS)):
            done += batches.batch
            if time.perf_counter() - began > seconds:
                break
        rate = done / (time.perf_counter() - began)
        pool.terminate()
    return {"images_per_s": rate, "threads": batches.workers}


def pipeline(size: int, _path: Path, seconds: float) -> Speed:
    """Make batches and train on them, with everything that training does after each step."""
    model, batches, policy = _open(size)
    clock = Clock(seconds, batches.batch)
    progress = Progress(1, STEPS * batches.batch * size**2)
    progress.stage(batches.batch, size)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), DEFAULT.average, lambda _: {"val_auc": 0.0}, [])
        callbacks = [
            KeepMemory(),
            SeededDropout(),
            FiniteLoss(batches.images_of),
            progress,
            checkpoints,
            clock,
        ]
        model.fit(batches, verbose=0, shuffle=False, callbacks=callbacks)
    return {"images_per_s": clock.images_per_s, "precision": policy}


def save_batch(size: int, path: Path) -> None:
    """Write a batch for the contender in PyTorch."""
    _, batches, policy = _open(size)
    pixels, targets, weights = batches[0]
    arrays = {"pixels": pixels, "bfloat16": np.array(policy == "mixed_bfloat16")}
    arrays |= {f"target_{name}": value for name, value in targets.items()}
    arrays |= {f"weight_{name}": value for name, value in weights.items()}
    np.savez(path, allow_pickle=False, **arrays)


def _open(size: int) -> tuple[keras.Model, Batches, str]:
    policy = choose_precision()
    stage = Stage(1.0, size, DEFAULT.stages[0].batch)
    model = add_training_heads(networks.cnn7(None), DEFAULT)
    compile_for_training(model, DEFAULT, STEPS)
    batches = open_batches(
        _painted(), DEFAULT, stage, tuple(model.output), steps=STEPS, seed=0, epoch=0
    )
    return model, batches, policy


def _painted() -> Examples:
    """Two painted lesions, one of each class."""
    photo = paint()
    crops = [ImageOps.fit(photo, (SIZE, SIZE)), ImageOps.fit(photo, (SIZE, SIZE), centering=(0, 0))]
    images = np.stack([np.asarray(crop) for crop in crops])
    rows = [
        Row("", "painted", diagnosis, malignant, "", "train")
        for malignant, diagnosis in enumerate(("nevus", "melanoma"))
    ]
    return Examples(images, rows, images[:0], None)
