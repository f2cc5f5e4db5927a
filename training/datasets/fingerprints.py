"""Compute what identifies an image: a digest of its pixels, perceptual hashes, size and colour."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image
from tqdm import tqdm

from lens.formats import with_known_brand
from lens.images import InvalidImage, decode
from training.datasets.records import PrepareError, Record

THREADS = 2

# Reasons for which the decoder rejects an undamaged photo. It is left out and reported; the run
# continues.
_UNFIT = frozenset({"too_small", "too_many_pixels"})


@dataclass(frozen=True)
class Fingerprint:
    """What identifies one image file.

    Attributes:
        digest: SHA-256 of the decoded uint8 (500, 500, 3) pixels that the network sees, 32 bytes.
        hashes: phash of 64 bits, phash and dhash of 256 bits (imagehash), packed in 72 bytes.
        size: width and height of the file's picture in pixels.
        colour: mean red, green and blue of the decoded pixels, 0-255.
        is_mask: the picture has only two grey levels, like the stored outline of a lesion.
    """

    digest: bytes
    hashes: bytes
    size: tuple[int, int]
    colour: tuple[float, float, float]
    is_mask: bool = False


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
    with Image.open(BytesIO(with_known_brand(data))) as picture:  # Reads only the header.
        size = picture.size
    red, green, blue = pixels.mean(axis=(0, 1)).tolist()
    digest = hashlib.sha256(pixels.tobytes()).digest()
    packed = np.packbits(bits).tobytes()
    return Fingerprint(digest, packed, size, (red, green, blue), _is_mask(pixels))


def _is_mask(pixels: np.ndarray) -> bool:
    """Whether nearly all pixels have one of two grey levels (resizing and JPEG blur the edges)."""
    colourless = np.ptp(pixels, axis=-1) <= 8
    greys = pixels[..., 1].astype(int)
    low, high = np.quantile(greys, (0.01, 0.99))
    near = np.minimum(np.abs(greys - low), np.abs(greys - high)) <= 12
    return float((colourless & near).mean()) > 0.95


@dataclass(frozen=True)
class Fingerprints:
    """The images that can be used, in the given order, and those that cannot.

    Attributes:
        records: the images that can be used.
        fingerprints: the fingerprint of each record.
        unfit: images left out because of their size or because they are masks, as "path (reason)".
    """

    records: list[Record]
    fingerprints: list[Fingerprint]
    unfit: list[str]


def fingerprint_all(records: list[Record]) -> Fingerprints:
    """Fingerprint every record's file, with a progress bar.

    Raises:
        PrepareError: a file cannot be read or decoded, or no image is left.
    """
    usable = Fingerprints([], [], [])
    unreadable: list[str] = []
    # Threads are as fast as processes here: Pillow and hashlib release Python's global lock.
    pool = ThreadPoolExecutor(THREADS)
    try:
        results = pool.map(_fingerprint, records)
        for record, result in zip(
            records, tqdm(results, "reading images", len(records), unit="image"), strict=True
        ):
            if isinstance(result, str):
                line = f"{record.path} ({result.replace('_', ' ')})"
                (usable.unfit if result in _UNFIT else unreadable).append(line)
            elif result.is_mask:
                usable.unfit.append(f"{record.path} (a mask: only two grey levels)")
            else:
                usable.records.append(record)
                usable.fingerprints.append(result)
    finally:
        pool.shutdown(cancel_futures=True)
    if unreadable:
        more = f" and {len(unreadable) - 5:,} more" if len(unreadable) > 5 else ""
        raise PrepareError(
            f"cannot read {', '.join(unreadable[:5])}{more}; expected undamaged JPEG, PNG, WebP, "
            "AVIF or HEIC photos: replace or remove them, and run again"
        )
    if not usable.records:
        raise PrepareError(f"no image left to split: {', '.join(usable.unfit[:5])}")
    return usable


def _fingerprint(record: Record) -> Fingerprint | str:
    """The fingerprint of the record's file, or the reason why there is none."""
    assert record.path is not None
    try:
        return fingerprint(record.path)
    except InvalidImage as error:
        return error.reason
    except OSError as error:
        return error.strerror or type(error).__name__
