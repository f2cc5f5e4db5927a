"""Callbacks of a training run: reproducible dropout, a check of the loss, progress and logs."""

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

Logs = dict[str, float]
"""Metrics by name, as Keras passes them to callbacks: ``loss``, ``val_auc`` ..."""


class TrainingError(CommandError):
    """Training cannot start or continue; the message says why and what to do."""


class SeededDropout(keras.callbacks.Callback):
    """Makes dropout depend only on the seed, the epoch and the step.

    Checkpoints do not contain the state of Keras's seed generators, so a resumed run would repeat
    the dropout of its first epochs.
    """

    MAX_STEPS = 1_000_000
    """An epoch with more steps would repeat the dropout of the next one."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        for layer in self.model.layers:
            if generator := getattr(layer, "seed_generator", None):
                seed = int(keras.ops.convert_to_numpy(generator.state)[0])
                generator.state.assign([seed, epoch * self.MAX_STEPS])


class FiniteLoss(keras.callbacks.Callback):
    """Stops training at the first loss that is not finite.

    Raises:
        TrainingError: names the images of that batch.
    """

    def __init__(self, images_of: Callable[[int], list[str]]) -> None:
        super().__init__()
        self.images_of = images_of

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if logs and not np.isfinite(logs["loss"]):
            images = "\n  ".join(self.images_of(batch))
            raise TrainingError(
                f"the loss is {logs['loss']} after batch {batch}, which holds\n  {images}\n"
                "look at these images, or lower the learning rate (--set rates.adam=...); "
                "--resume continues after the last complete epoch"
            )


class Replay(keras.callbacks.Callback):
    """Restores callbacks that count epochs to their state before an interruption.

    In the list of callbacks it must come after those that it restores. The learning rate comes from
    the checkpoint instead.
    """

    def __init__(self, others: Sequence[keras.callbacks.Callback], history: list[Logs]) -> None:
        super().__init__()
        self.others = others
        self.history = history

    def on_train_begin(self, logs: Logs | None = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        for row in self.history:
            for other in self.others:
                other.on_epoch_end(row["epoch"] - 1, dict(row))
        self.model.optimizer.learning_rate = rate


class Progress(keras.callbacks.Callback):
    """A progress bar for each epoch with images/s, and the time left for all epochs.

    The time left is estimated by pixels, because epochs with larger images take longer.
    """

    def __init__(self, epochs: int, pixels: int) -> None:
        """Create the progress bar.

        Args:
            epochs: total number of epochs.
            pixels: number of pixels in all images still to come.
        """
        super().__init__()
        self.epochs = epochs
        self.pixels = pixels
        self.done = 0
        self.began = 0.0  # The first step of the run is not timed, because it compiles.
        self.epoch_began = 0.0
        self.batch = self.size = 0
        self.bar = tqdm(disable=True)

    def stage(self, batch: int, size: int) -> None:
        """Set the images per batch and their side in pixels for the next epochs."""
        self.batch, self.size = batch, size

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.bar = tqdm(
            total=self.params["steps"] * self.batch,
            desc=f"epoch {epoch + 1} of {self.epochs}",
            unit="image",
            leave=False,
            # In a log file every update is a new line.
            mininterval=0.5 if sys.stderr.isatty() else 60,
        )

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
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

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
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


def loggers(folder: Path, history: list[Logs]) -> list[keras.callbacks.Callback]:
    """Callbacks that log the metrics of each epoch to ``log.csv`` and ``tensorboard/``.

    TensorBoard is used only if it is installed and Keras runs on TensorFlow.

    Args:
        folder: the folder of the run.
        history: the epochs before this run was resumed; if empty, the logs start from scratch.
    """
    chosen = [keras.callbacks.CSVLogger(folder / "log.csv", append=bool(history))]
    # Keras writes these logs with TensorFlow, which would occupy the GPU that JAX or PyTorch needs.
    if keras.backend.backend() == "tensorflow" and importlib.util.find_spec("tensorboard"):
        chosen.append(keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False))
    return chosen
