"""Decode every image of a split once, into a cache that is memory-mapped."""

import errno
import hashlib
import os
import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lens.files import exclusive_lock
from lens.images import SIZE, InvalidImage, decode, decoder
from training.cli import CommandError
from training.datasets.manifest import ManifestError, Row


class DiskFull(CommandError):
    """The disk has no space for the decoded images; the message says how much they need."""


def open_images(rows: list[Row], folder: str | Path) -> np.ndarray:
    """Open the decoded images of the rows, memory-mapped from a cache that the first call fills.

    The cache is filled again when a file or the decoder has changed. Otherwise a network could be
    trained on pixels that differ from those in serving, and silently lose accuracy.

    Returns:
        uint8 memory map (len(rows), 500, 500, 3), exactly ``lens.images.decode`` of each file.

    Raises:
        ManifestError: a file is missing or cannot be decoded.
        DiskFull: there is not enough disk space.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256("\n".join([decoder(), *map(_fingerprint, rows)]).encode()).hexdigest()[:16]
    cache = folder / f"{key}.npy"
    # Two processes may need the cache at once, such as the hosts of a run on one machine.
    with exclusive_lock(cache.with_suffix(".lock")) as locked:
        if not cache.exists():
            # The cache is filled under a temporary name, so that an incomplete one is never read.
            # The name is unique to the machine, because hosts may share the folder; if the folder
            # does not support locks, it is unique to the process.
            owner = platform.node() if locked else f"{platform.node()}.{os.getpid()}"
            _fill(cache, cache.with_suffix(f".{owner}.partial.npy"), rows)
    images: np.ndarray = np.load(cache, mmap_mode="r")
    return images


def _fill(cache: Path, partial: Path, rows: list[Row]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), SIZE, SIZE, 3)}
    with partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        _reserve(partial, file.tell() + len(rows) * SIZE * SIZE * 3)
        # Do not write through a memory map: the shared folders of virtual machines (9p, vboxsf) do
        # not support that.
        with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
            decoded = pool.map(decode_row, rows)
            for image in tqdm(decoded, "decoding", len(rows), unit="image"):
                file.write(image.data)
    partial.rename(cache)


def _reserve(partial: Path, size: int) -> None:
    """Allocate the disk blocks now, so that a full disk is detected before an hour of decoding."""
    try:
        with partial.open("r+b") as file:
            _allocate(file.fileno(), size)
    except OSError as error:
        free = shutil.disk_usage(partial.parent).free
        partial.unlink()
        if error.errno != errno.ENOSPC:
            raise
        raise DiskFull(
            f"{partial.parent}: expected {size / 1e6:,.0f} MB of disk space for the decoded "
            f"images, got {free / 1e6:,.0f} MB; the .npy files there may be deleted, training "
            "recreates them"
        ) from error


_NOT_ALLOCATED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


def _allocate(file: int, size: int) -> None:
    """Allocate ``size`` bytes; on systems that cannot (macOS), only check that they are free."""
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
    """Decode the file of a row.

    Raises:
        ManifestError: the file cannot be read or decoded.
    """
    try:
        return decode(Path(row.path).read_bytes())
    except (OSError, InvalidImage) as error:
        raise ManifestError(f"{row.path}: {error}") from error
