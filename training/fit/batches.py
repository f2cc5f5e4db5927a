"""Make training batches: draw images, and augment them."""

import os
from dataclasses import dataclass

import keras
import numpy as np

from training.datasets.manifest import CLINICAL, Row
from training.fit.augmentation import Augmentation, graft
from training.fit.distillation import Teacher
from training.fit.negatives import crop_skin, paint_negative

DIAGNOSES = ("nevus", "melanoma", "bcc", "akiec", "scc", "bkl", "df", "vasc")
"""Classes of the auxiliary diagnosis head; it ignores images with any other diagnosis."""

PHOTOGRAPH_SHARE, SKIN_SHARE = 0.6, 0.2
"""Shares of photographs, and of attempts to crop bare skin, among the images without a lesion. The
rest are painted patterns. A painted pattern also replaces each crop that fails because the corner
of the photo is not plain skin, which is about three in four."""


Targets = dict[str, np.ndarray]
"""The target of each output: float (n,) for one image, float32 (batch, n) for a batch."""

Example = tuple[np.ndarray, Targets, dict[str, float]]
"""An image, its targets, and the sample weight of each output where it is not 1."""


@dataclass(frozen=True)
class Examples:
    """Everything that batches are made from.

    Attributes:
        images: the lesions, uint8 (n, 500, 500, 3).
        rows: their rows.
        others: photographs of anything but a lesion, uint8 (m, 500, 500, 3); m may be 0.
        teacher: the teacher whose outputs for every batch become targets, or None.
    """

    images: np.ndarray
    rows: list[Row]
    others: np.ndarray
    teacher: Teacher | None


class Batches(keras.utils.PyDataset):
    """Augmented training batches, one epoch at a time.

    The content of batch ``i`` of epoch ``e`` depends only on the seed, ``e`` and ``i``: not on the
    number of threads, nor on whether the run was interrupted. If there are several hosts, each
    makes its own part of every batch.
    """

    def __init__(
        self,
        examples: Examples,
        *,
        weights: np.ndarray,
        outputs: tuple[str, ...],
        augmentation: Augmentation,
        size: int,
        batch: int,
        steps: int,
        other_share: float,
        graft_share: float,
        seed: int,
        epoch: int,
        host: tuple[int, int] = (0, 1),
    ) -> None:
        """Prepare the batches, starting with those of ``epoch``.

        Args:
            examples: the training images.
            weights: probability of drawing each lesion, float64 (n,), summing to 1.
            outputs: names of the outputs that get targets.
            augmentation: random changes of the images.
            size: side of the images in pixels.
            batch: number of images per batch, on all hosts together.
            steps: number of batches per epoch.
            other_share: share of images without a lesion, 0-1; unused without the output
                ``lesion``.
            graft_share: share of lesions pasted into the surroundings of another photo, 0-1.
            seed: seed of sampling and augmentation.
            epoch: number of the first epoch, from 0.
            host: number of this host, from 0, and number of hosts.
        """
        # Pillow and OpenCV release Python's global lock, so one thread per core is enough.
        super().__init__(workers=max(2, os.cpu_count() or 2), max_queue_size=8)
        self.examples = examples
        self.weights = weights
        self.outputs = outputs
        self.augmentation = augmentation
        self.size = size
        self.batch = batch
        self.steps = steps
        self.other_share = other_share if "lesion" in outputs else 0.0
        self.graft_share = graft_share
        self.seed = seed
        self.epoch = epoch
        number, hosts = host
        share = batch // hosts
        self.host_part = slice(number * share, (number + 1) * share)

    def __len__(self) -> int:
        return self.steps

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, Targets, Targets]:
        """Make this host's part of batch ``index``.

        Returns:
            Pixels, uint8 (batch / hosts, size, size, 3); and the targets and the sample weights of
            each output.
        """
        generators, rows, flags = self._draw(index)
        draws = list(zip(rows, *flags, generators, strict=True))
        views, targets, weights = [], [], []
        for row, is_other, is_graft, rng in draws[self.host_part]:
            image, target, weight = self._other(rng) if is_other else self._lesion(row)
            if is_graft and not is_other:
                image = graft(image, self.examples.images[rng.integers(len(self.weights))])
            views.append(self.augmentation(image, rng, self.size))
            targets.append(target)
            weights.append(weight)
        pixels = np.stack(views)
        if self.examples.teacher and "teacher" in self.outputs:
            for target, embedding, opinion in zip(
                targets, *self.examples.teacher(pixels), strict=True
            ):
                target |= {"teacher": embedding, "opinion": opinion}
        stacked_targets, sample_weights = {}, {}
        for name in self.outputs:
            stacked_targets[name] = np.array([target[name] for target in targets], np.float32)
            sample_weights[name] = np.array([one.get(name, 1.0) for one in weights], np.float32)
        return pixels, stacked_targets, sample_weights

    def images_of(self, index: int) -> list[str]:
        """Describe each image in batch ``index`` of this epoch; a lesion by its path."""
        _, rows, flags = self._draw(index)
        return [
            "something other than a lesion" if is_other else self.examples.rows[row].path
            for row, is_other in zip(rows, flags[0], strict=True)
        ]

    def _draw(self, index: int) -> tuple[list[np.random.Generator], np.ndarray, np.ndarray]:
        """Draw batch ``index``.

        Returns:
            A random generator for each image; the rows (batch,); and flags (2, batch): whether the
            image is replaced by one without a lesion, and whether it is grafted.
        """
        rng = np.random.default_rng([self.seed, self.epoch, index])
        rows = rng.choice(len(self.weights), self.batch, p=self.weights)
        flags = rng.random((2, self.batch)) < [[self.other_share], [self.graft_share]]
        return rng.spawn(self.batch), rows, flags

    def _lesion(self, index: int) -> Example:
        row = self.examples.rows[index]
        diagnosis = np.array([row.diagnosis == name for name in DIAGNOSES], np.float32)
        target = {
            "malignant": np.array([row.malignant]),
            "lesion": np.ones(1),
            "kind": np.array([row.kind == CLINICAL]),
            "diagnosis": diagnosis,
        }
        weight = {"diagnosis": float(diagnosis.any())}
        return self.examples.images[index], target, weight

    def _other(self, rng: np.random.Generator) -> Example:
        count = len(self.examples.others)
        zero = np.zeros(1)
        nothing = np.zeros(len(DIAGNOSES))
        target = {"malignant": zero, "lesion": zero, "kind": zero, "diagnosis": nothing}
        weight = {"malignant": 0.0, "kind": 0.0, "diagnosis": 0.0, "opinion": 0.0}
        kind = rng.random()
        if count and kind < PHOTOGRAPH_SHARE:
            return self.examples.others[rng.integers(count)], target, weight
        skin = None
        if kind > 1 - SKIN_SHARE:
            skin = crop_skin(self.examples.images[rng.integers(len(self.weights))], rng)
        return paint_negative(rng) if skin is None else skin, target, weight
