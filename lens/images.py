"""Decode a photo to the network's input; training and serving share this function."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np

from lens import pixels, resize, sandbox
from lens.arrays import Pixels
from lens.formats import InvalidImage, UnsupportedImage, UnusableImage
from lens.resize import SIZE

__all__ = [
    "MAX_DECODING_BYTES",
    "SIZE",
    "InvalidImage",
    "UnsupportedImage",
    "UnusableImage",
    "decode",
    "decoder",
]

MAX_DECODING_BYTES = 250_000_000
"""Memory for all photos that a process decodes at the same time. Together with an idle worker's
120 MB this is below 400 MB. A photo that alone needs more is refused."""

_DECODER_MODULES = ["images", "pixels", "colour", "icc", "cicp", "jpeg", "png", "isobmff", "resize"]


class _MemoryBudget:
    """A memory budget that threads share; a thread that needs more than is free waits."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Hold ``size`` bytes for the length of a ``with`` block."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


_memory = _MemoryBudget(MAX_DECODING_BYTES)


def decode(data: bytes) -> Pixels:
    """Decode a photo to the network's input.

    The content determines the format. The first frame is decoded, turned upright by its EXIF
    orientation, converted to sRGB and composited on white. It is resized to a square with
    antialiasing, without keeping the aspect ratio, as the paper does.

    Args:
        data: the whole file, JPEG, PNG, WebP, AVIF or HEIC.

    Returns:
        uint8 array of shape (500, 500, 3), RGB, 0-255.

    Raises:
        UnsupportedImage: not one of the accepted formats.
        UnusableImage: empty, damaged, over 40 megapixels (16 for WebP and AVIF, 25 for HEIC), or
            under 64 pixels on a side.
    """
    photo = pixels.open_photo(data)
    needed = pixels.bytes_needed(photo)
    if needed > MAX_DECODING_BYTES:
        raise pixels.too_many_pixels(photo.size)
    with _memory.reserve(needed):
        if photo.image.format in ("AVIF", "HEIF"):
            return _in_sandbox(data, needed)
        return pixels.to_input(photo)


def _in_sandbox(data: bytes, picture_bytes: int) -> Pixels:
    try:
        decoded = sandbox.decode(data, picture_bytes)
    except sandbox.FailedError as error:
        raise pixels.damaged() from error
    return np.frombuffer(decoded, np.uint8).reshape(SIZE, SIZE, 3).copy()


def decoder() -> str:
    """All code and library versions that affect the decoded pixels, as a key for caches of them."""
    resizer = resize.Resizer  # type: ignore[attr-defined]
    libraries = ["pillow", "pillow-heif", *(["cykooz-resizer"] if resizer else [])]
    versions = [f"{name} {version(name)}" for name in libraries]
    sources = [Path(__file__).with_name(f"{name}.py").read_text() for name in _DECODER_MODULES]
    return "\n".join([*versions, *sources])
