"""What makes two images one picture: a digest of each one's pixels, and perceptual hashes."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image
from tqdm import tqdm

from lens.images import InvalidImage, decode
from training.sources import PrepareError, Record

WORKERS = 2

# Readable photos that the network's decoder refuses for their size: left out, and said.
_UNFIT = frozenset({"too_small", "too_many_pixels"})


def fingerprint(path: Path) -> tuple[bytes, bytes]:
    """Digest of the pixels that the network sees, and three perceptual hashes.

    Returns:
        SHA-256 of the decoded (500, 500, 3) pixels, 32 bytes; phash of 64 bits, phash and dhash of
        256 bits (imagehash), packed in 72 bytes.

    Raises:
        InvalidImage: the file cannot be decoded.
        OSError: the file cannot be read.
    """
    pixels = decode(path.read_bytes())
    grey = Image.fromarray(pixels).convert("L")
    hashes = imagehash.phash(grey), imagehash.phash(grey, 16), imagehash.dhash(grey, 16)
    bits = np.concatenate([each.hash.ravel() for each in hashes])
    return hashlib.sha256(pixels.tobytes()).digest(), np.packbits(bits).tobytes()


@dataclass(frozen=True)
class Fingerprints:
    """The images that can be used, in the order given.

    Attributes:
        digests: SHA-256 of each one's decoded pixels.
        hashes: each one's perceptual hashes, as in :func:`fingerprint`.
        unfit: the images left out for their size, each as "path (reason)".
    """

    records: list[Record]
    digests: list[bytes]
    hashes: list[bytes]
    unfit: list[str]


def fingerprint_all(records: list[Record]) -> Fingerprints:
    """Fingerprint every record's file on two threads, with a progress bar.

    Raises:
        PrepareError: names the files that cannot be read; or none can be used.
    """
    found = Fingerprints([], [], [], [])
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
                found.digests.append(result[0])
                found.hashes.append(result[1])
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


def _fingerprint(record: Record) -> tuple[bytes, bytes] | str:
    """The fingerprint of the record's file, or in a word why there is none."""
    assert record.path is not None
    try:
        return fingerprint(record.path)
    except InvalidImage as error:
        return error.reason
    except OSError as error:
        return error.strerror or type(error).__name__
