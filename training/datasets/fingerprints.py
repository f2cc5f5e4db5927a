"""What tells images apart: a digest of each one's pixels, perceptual hashes, size and colour."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image
from tqdm import tqdm

from lens.images import InvalidImage, decode
from training.datasets.sources import PrepareError, Record

WORKERS = 2

# Readable photos that the network's decoder refuses for their size: left out, and said.
_UNFIT = frozenset({"too_small", "too_many_pixels"})


@dataclass(frozen=True)
class Fingerprint:
    """What one image file is known by.

    Attributes:
        digest: SHA-256 of the decoded uint8 (500, 500, 3) pixels that the network sees, 32 bytes.
        hashes: phash of 64 bits, phash and dhash of 256 bits (imagehash), packed in 72 bytes.
        size: width and height of the file's picture in pixels.
        colour: mean red, green and blue of the decoded pixels, 0-255.
    """

    digest: bytes
    hashes: bytes
    size: tuple[int, int]
    colour: tuple[float, float, float]


def fingerprint(path: Path) -> Fingerprint:
    """Fingerprint one file.

    Raises:
        InvalidImage: the file cannot be decoded.
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    pixels = decode(data)
    grey = Image.fromarray(pixels).convert("L")
    hashes = imagehash.phash(grey), imagehash.phash(grey, 16), imagehash.dhash(grey, 16)
    bits = np.concatenate([each.hash.ravel() for each in hashes])
    with Image.open(BytesIO(data)) as picture:  # reads the header alone
        size = picture.size
    red, green, blue = pixels.mean(axis=(0, 1)).tolist()
    digest = hashlib.sha256(pixels.tobytes()).digest()
    return Fingerprint(digest, np.packbits(bits).tobytes(), size, (red, green, blue))


@dataclass(frozen=True)
class Fingerprints:
    """The images that can be used, in the order given.

    Attributes:
        prints: each one's fingerprint.
        unfit: the images left out for their size, each as "path (reason)".
    """

    records: list[Record]
    prints: list[Fingerprint]
    unfit: list[str]


def fingerprint_all(records: list[Record]) -> Fingerprints:
    """Fingerprint every record's file on two threads, with a progress bar.

    Raises:
        PrepareError: names the files that cannot be read; or none can be used.
    """
    found = Fingerprints([], [], [])
    unreadable: list[str] = []
    # Threads are as quick as processes here (measured): Pillow and hashlib work outside the lock.
    pool = ThreadPoolExecutor(WORKERS)
    try:
        results = pool.map(_fingerprint, records)
        for record, result in zip(
            records, tqdm(results, "reading images", len(records), unit="image"), strict=True
        ):
            if isinstance(result, str):
                line = f"{record.path} ({result.replace('_', ' ')})"
                (found.unfit if result in _UNFIT else unreadable).append(line)
            else:
                found.records.append(record)
                found.prints.append(result)
    finally:
        pool.shutdown(cancel_futures=True)
    if unreadable:
        more = f" and {len(unreadable) - 5:,} more" if len(unreadable) > 5 else ""
        raise PrepareError(
            f"cannot read {', '.join(unreadable[:5])}{more}; expected whole JPEG, PNG, WebP, AVIF "
            "or HEIC photos: replace or remove them, and run again"
        )
    if not found.records:
        raise PrepareError(f"no image left to split: {', '.join(found.unfit[:5])}")
    return found


def _fingerprint(record: Record) -> Fingerprint | str:
    """The fingerprint of the record's file, or in a word why there is none."""
    assert record.path is not None
    try:
        return fingerprint(record.path)
    except InvalidImage as error:
        return error.reason
    except OSError as error:
        return error.strerror or type(error).__name__
