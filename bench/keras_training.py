"""The contenders of ``bench.train`` that run on Keras: cnn7 and the default recipe, as trained."""

import tempfile
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import ImageOps

from bench.photos import paint
from lens.images import SIZE
from training import networks
from training.datasets.manifest import Row
from training.fit.batches import Batches, Examples
from training.fit.callbacks import FiniteLoss, Progress, SeededDropout
from training.fit.device import KeepMemory, choose_precision
from training.fit.loop import Checkpoints, compile_learner, learner, open_batches
from training.fit.recipes import DEFAULT, Stage

STEPS = 100_000
"""More than any measurement takes; the clock ends it."""
WARM_UP = 3
"""Steps that are not counted: the first compiles, and meanwhile the queue of batches fills."""


class Clock(keras.callbacks.Callback):
    """Ends training after some seconds and says how many images went through a second."""

    def __init__(self, seconds: float, batch: int) -> None:
        super().__init__()
        self.seconds = seconds
        self.batch = batch
        self.began = 0.0
        self.images_per_s = 0.0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        now = time.perf_counter()
        if batch < WARM_UP:
            self.began = now
            return
        passed = now - self.began
        self.images_per_s = (batch - WARM_UP + 1) * self.batch / passed
        if passed > self.seconds:
            self.model.stop_training = True


class Ready(keras.utils.PyDataset):
    """The same batch again and again, from memory."""

    def __init__(self, batch: tuple) -> None:
        super().__init__()
        self.batch = batch

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, index: int) -> tuple:
        return self.batch


def bare_step(size: int, _path: Path, seconds: float) -> dict[str, Any]:
    """The compiled step on one batch that is ready, with nothing done after it."""
    model, batches, policy = _open(size)
    clock = Clock(seconds, batches.batch)
    model.fit(Ready(batches[0]), verbose=0, shuffle=False, callbacks=[KeepMemory(), clock])
    return {"images_per_s": clock.images_per_s, "precision": policy}


def feed(size: int, _path: Path, seconds: float) -> dict[str, Any]:
    """Batches drawn and changed by as many threads as in training, and thrown away."""
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


def pipeline(size: int, _path: Path, seconds: float) -> dict[str, Any]:
    """Draw, change and learn, with what training does after every step."""
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
    """Write a batch for contenders that should not load Keras."""
    _, batches, policy = _open(size)
    pixels, targets, weights = batches[0]
    np.savez(
        path,
        pixels=pixels,
        bfloat16=policy == "mixed_bfloat16",
        **{f"target_{name}": value for name, value in targets.items()},
        **{f"weight_{name}": value for name, value in weights.items()},
    )


def _open(size: int) -> tuple[keras.Model, Batches, str]:
    policy = choose_precision()
    stage = Stage(1.0, size, DEFAULT.stages[0].batch)
    model = learner(networks.cnn7(None), DEFAULT, None)
    compile_learner(model, DEFAULT, STEPS)
    batches = open_batches(
        _painted(), DEFAULT, stage, tuple(model.output), steps=STEPS, seed=0, epoch=0
    )
    return model, batches, policy


def _painted() -> Examples:
    """Painted lesions as the cache of decoded images holds them: uint8 (500, 500, 3) each."""
    photo = paint()
    kinds = [ImageOps.fit(photo, (SIZE, SIZE)), ImageOps.fit(photo, (SIZE, SIZE), centering=(0, 0))]
    images = np.stack([np.asarray(kind) for kind in kinds])
    rows = [
        Row("", "painted", diagnosis, malignant, "", "train")
        for malignant, diagnosis in enumerate(("nevus", "melanoma"))
    ]
    return Examples(images, rows, images[:0], None)
