"""What goes on beside the steps of a training run: chance, alarm, progress and logs."""

import datetime
import importlib.util
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from training.cli import CommandError


class TrainingError(CommandError):
    """Training cannot start or go on; the message says why and what to do."""


class SeededDropout(keras.callbacks.Callback):
    """Lets what is dropped depend on the seed, the epoch and the step alone.

    The state of Keras's seed generators is in no checkpoint: a resumed run would start it anew.
    """

    APART = 1_000_000
    """Steps that an epoch may have before it drops what the next one does."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        for layer in self.model.layers:
            if generator := getattr(layer, "seed_generator", None):
                seed = int(keras.ops.convert_to_numpy(generator.state)[0])
                generator.state.assign([seed, epoch * self.APART])


class FiniteLoss(keras.callbacks.Callback):
    """Stops at the first loss that is not a number, and names the images it came from.

    Raises:
        TrainingError: after such a batch.
    """

    def __init__(self, images_of: Callable[[int], list[str]]) -> None:
        super().__init__()
        self.images_of = images_of

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if logs and not np.isfinite(logs["loss"]):
            images = "\n  ".join(self.images_of(batch))
            raise TrainingError(
                f"the loss is {logs['loss']} after batch {batch}, which holds\n  {images}\n"
                "look at these images, or lower the learning rate (--set rates.adam=...); "
                "--resume goes on from the last whole epoch"
            )


class Replay(keras.callbacks.Callback):
    """Brings callbacks that count epochs to where an interrupted run had left them.

    Stands behind them in the list. The learning rate is in the checkpoint and stays.
    """

    def __init__(self, others: Sequence[keras.callbacks.Callback], history: list[dict]) -> None:
        super().__init__()
        self.others = others
        self.history = history

    def on_train_begin(self, logs: dict | None = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        for row in self.history:
            for other in self.others:
                other.on_epoch_end(row["epoch"] - 1, dict(row))
        self.model.optimizer.learning_rate = rate


class Progress(keras.callbacks.Callback):
    """A bar for each epoch with images/s, and the time left for all of them.

    The time left is reckoned by pixels: an epoch of large images takes several times as long.
    """

    def __init__(self, epochs: int, pixels: int) -> None:
        """Args: epochs in all, and pixels of all the images still to come."""
        super().__init__()
        self.epochs = epochs
        self.pixels = pixels
        self.done = 0
        self.began = 0.0  # of the whole run, after its first step, which compiles
        self.epoch_began = 0.0
        self.batch = self.size = 0
        self.bar = tqdm(disable=True)

    def stage(self, batch: int, size: int) -> None:
        """What the next epochs are made of: images in a batch, and their side."""
        self.batch, self.size = batch, size

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.bar = tqdm(
            total=self.params["steps"] * self.batch,
            desc=f"epoch {epoch + 1} of {self.epochs}",
            unit="image",
            leave=False,
            # A log file gets a line now and then, a screen a moving bar.
            mininterval=0.5 if sys.stderr.isatty() else 60,
        )

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        now = time.monotonic()
        self.pixels -= self.batch * self.size**2
        if batch == 0:
            self.epoch_began = now
        if self.began:
            self.done += self.batch * self.size**2
        else:
            self.began = now
        self.bar.set_postfix_str(f"loss {(logs or {})['loss']:.4f}, {self._left()}", refresh=False)
        self.bar.update(self.batch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.bar.close()
        counted = self.bar.total - self.batch
        seconds = max(time.monotonic() - self.epoch_began, 1e-9)
        print(
            f"epoch {epoch + 1} of {self.epochs}: {counted / seconds:.1f} images/s, {self._left()}"
        )

    def _left(self) -> str:
        if not self.done:
            return "time left not known yet"
        seconds = (time.monotonic() - self.began) / self.done * self.pixels
        return f"{datetime.timedelta(seconds=round(seconds))} left"


def loggers(folder: Path, history: list[dict]) -> list[keras.callbacks.Callback]:
    """Figures of each epoch to ``log.csv``, and to ``tensorboard/`` where that is installed.

    Args:
        folder: of the run.
        history: of the epochs done before; without any the logs start anew.
    """
    chosen = [keras.callbacks.CSVLogger(folder / "log.csv", append=bool(history))]
    # Keras writes these with TensorFlow, which would take the GPU from another backend.
    if keras.backend.backend() == "tensorflow" and importlib.util.find_spec("tensorboard"):
        chosen.append(keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False))
    return chosen
