"""Rows to batches: images decoded once by ``lens.images.decode``, cached, drawn, augmented."""

import errno
import hashlib
import os
import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from lens.files import exclusive_lock
from lens.images import SIZE, InvalidImage, decode, decoder
from training.cli import CommandError
from training.datasets.manifest import CLINICAL, ManifestError, Row
from training.fit.augmentation import Augmentation, graft
from training.fit.distillation import Lessons
from training.fit.negatives import cut_skin, paint_nonsense

DIAGNOSES = ("nevus", "melanoma", "bcc", "akiec", "scc", "bkl", "df", "vasc")
"""Diagnoses the auxiliary head tells apart; any other (SIIM's ``unknown``) is left out of it."""

PHOTOGRAPHS, SKIN = 0.6, 0.2
"""Shares of what is no lesion: photographs; bare skin, of which three tries in four find none in
the photo they are given. The rest is painted nonsense, and so is what finds none."""


Targets = dict[str, np.ndarray]
"""What each output should say: float (n,) of one image, float32 (batch, n) of a batch."""

Example = tuple[np.ndarray, Targets, dict[str, float]]
"""An image, its targets, and the weight of each output's loss where it is not 1."""


class DiskFull(CommandError):
    """There is no room for the decoded images; ``str(error)`` says how much they need."""


def open_images(rows: list[Row], folder: str | Path) -> np.ndarray:
    """Decoded images of the rows, memory-mapped from a cache that is filled at the first call.

    It is filled anew when a file or the decoder is another: a network that learned from pixels
    which serving no longer makes would lose accuracy, and nothing would say so.

    Returns:
        uint8 memory map (len(rows), 500, 500, 3), exactly ``lens.images.decode`` of each file.

    Raises:
        ManifestError: a file is missing or cannot be decoded.
        DiskFull: the folder has no room for them.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256("\n".join([decoder(), *map(_fingerprint, rows)]).encode()).hexdigest()[:16]
    cache = folder / f"{key}.npy"
    # Two processes may need it at once, as the hosts of a run on one machine do.
    with exclusive_lock(cache.with_suffix(".lock")) as locked:
        if not cache.exists():
            # A name of its own until it is whole, so that an interrupted fill is never read. It is
            # this machine's, for several may share the folder in a run on many; without a lock it
            # is this process's, and each fills one for itself.
            own = platform.node() if locked else f"{platform.node()}.{os.getpid()}"
            _fill(cache, cache.with_suffix(f".{own}.partial.npy"), rows)
    images: np.ndarray = np.load(cache, mmap_mode="r")
    return images


def _fill(cache: Path, partial: Path, rows: list[Row]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), SIZE, SIZE, 3)}
    with partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        _reserve(partial, file.tell() + len(rows) * SIZE * SIZE * 3)
        # Written, not mapped: shared folders of virtual machines (9p, vboxsf) map no file to write.
        with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
            decoded = pool.map(decode_row, rows)
            for image in tqdm(decoded, "decoding", len(rows), unit="image"):
                file.write(image.data)
    partial.rename(cache)


def _reserve(partial: Path, size: int) -> None:
    """Take the disk's blocks now, and not find out after an hour that there are too few."""
    try:
        with partial.open("r+b") as file:
            _allocate(file.fileno(), size)
    except OSError as error:
        free = shutil.disk_usage(partial.parent).free
        partial.unlink()
        if error.errno != errno.ENOSPC:
            raise
        raise DiskFull(
            f"{partial.parent}: expected {size / 1e6:,.0f} MB of room for the decoded images, got "
            f"{free / 1e6:,.0f} MB; the .npy files there may be deleted: a run makes its own again"
        ) from error


_NOT_ALLOCATED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


def _allocate(file: int, size: int) -> None:
    """Take so many bytes; where the system cannot, as on macOS, only look whether they are free."""
    try:
        os.posix_fallocate(file, 0, size)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NOT_ALLOCATED:
            raise
        room = os.fstatvfs(file)
        if room.f_bavail * room.f_frsize < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def _fingerprint(row: Row) -> str:
    try:
        status = Path(row.path).stat()
    except OSError as error:
        raise ManifestError(
            f"{row.path}: listed in the manifest but not there; run training.prepare again"
        ) from error
    return f"{row.path} {status.st_size} {status.st_mtime_ns}"


def decode_row(row: Row) -> np.ndarray:
    """``lens.images.decode`` of a row's file; a ManifestError names the file that fails."""
    try:
        return decode(Path(row.path).read_bytes())
    except (OSError, InvalidImage) as error:
        raise ManifestError(f"{row.path}: {error}") from error


@dataclass(frozen=True)
class Examples:
    """Everything a batch is drawn from.

    Attributes:
        images: uint8 (n, 500, 500, 3).
        rows: the n lesions' rows, in the images' order.
        others: uint8 (m, 500, 500, 3), photographs of anything but a lesion; m may be 0.
        lessons: a teacher that is asked about every batch, or None.
    """

    images: np.ndarray
    rows: list[Row]
    others: np.ndarray
    lessons: Lessons | None


class Batches(keras.utils.PyDataset):
    """One epoch of augmented training batches.

    What batch ``i`` of epoch ``e`` holds depends on the seed, ``e`` and ``i`` alone: not on the
    number of threads, nor on whether the run was interrupted before it. Of several hosts each makes
    its own part of every batch.
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
        # Pillow works outside Python's lock, so threads are enough, one for each core.
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
        self.mine = slice(number * share, (number + 1) * share)

    def __len__(self) -> int:
        return self.steps

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def __getitem__(self, index: int) -> tuple[np.ndarray, Targets, Targets]:
        """Batch ``index``: pixels uint8 (batch, size, size, 3), targets, sample weights."""
        chances, drawn, chance = self._draw(index)
        every = list(zip(drawn, *chance, chances, strict=True))
        views, targets, weights = [], [], []
        for row, is_other, is_graft, rng in every[self.mine]:
            image, target, weight = self._other(rng) if is_other else self._lesion(row)
            if is_graft and not is_other:
                image = graft(image, self.examples.images[rng.integers(len(self.weights))])
            views.append(self.augmentation(image, rng, self.size))
            targets.append(target)
            weights.append(weight)
        pixels = np.stack(views)
        if self.examples.lessons and "teacher" in self.outputs:
            said = self.examples.lessons(pixels)
            for target, embedding, opinion in zip(targets, *said, strict=True):
                target |= {"teacher": embedding, "opinion": opinion}
        stack = {
            name: np.array([target[name] for target in targets], np.float32)
            for name in self.outputs
        }
        scale = {
            name: np.array([weight.get(name, 1.0) for weight in weights], np.float32)
            for name in self.outputs
        }
        return pixels, stack, scale

    def images_of(self, index: int) -> list[str]:
        """What batch ``index`` of this epoch shows: a path for each lesion."""
        _, drawn, chance = self._draw(index)
        return [
            "something other than a lesion" if is_other else self.examples.rows[row].path
            for row, is_other in zip(drawn, chance[0], strict=True)
        ]

    def _draw(self, index: int) -> tuple[list[np.random.Generator], np.ndarray, np.ndarray]:
        """Of batch ``index``: each image's chance, rows (batch,), other or graft (2, batch)."""
        rng = np.random.default_rng([self.seed, self.epoch, index])
        drawn = rng.choice(len(self.weights), self.batch, p=self.weights)
        chance = rng.random((2, self.batch)) < [[self.other_share], [self.graft_share]]
        return rng.spawn(self.batch), drawn, chance

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
        if count and kind < PHOTOGRAPHS:
            return self.examples.others[rng.integers(count)], target, weight
        skin = None
        if kind > 1 - SKIN:
            skin = cut_skin(self.examples.images[rng.integers(len(self.weights))], rng)
        return paint_nonsense(rng) if skin is None else skin, target, weight
