"""Bytes of a photo in, the network's input out: the one decode that training and serving share."""

from importlib.metadata import version
from pathlib import Path

import numpy as np

from lens import avif_sandbox, pixels, resize
from lens.formats import InvalidImage, UnsupportedImage, UnusableImage
from lens.memory import Memory
from lens.resize import SIZE

__all__ = [
    "MEMORY",
    "SIZE",
    "InvalidImage",
    "UnsupportedImage",
    "UnusableImage",
    "decode",
    "decoder",
]

MEMORY = 250_000_000
"""Bytes that all photos in decoding may take together: with the 120 MB of a worker at rest, it
stays under 400 MB. A photo that would take more alone is refused."""

SOURCES = (
    "images",
    "pixels",
    "colour",
    "icc",
    "cicp",
    "jpeg",
    "png",
    "isobmff",
    "resize",
)
"""Modules that determine the pixels."""

_memory = Memory(MEMORY)


def decode(data: bytes) -> np.ndarray:
    """Decode a photo to the network's input.

    The format is told by content alone. The first frame is taken, turned upright by its EXIF
    orientation, composited on white where transparent, 16-bit greys scaled, and resized to a
    square with antialiasing (the aspect ratio is not kept: the paper resizes the same way).

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
    if needed > MEMORY:
        raise pixels.too_many_pixels(photo.size)
    with _memory.lend(needed):
        if photo.image.format == "AVIF":
            return _in_sandbox(data, needed)
        return pixels.to_input(photo)


def _in_sandbox(data: bytes, needed: int) -> np.ndarray:
    try:
        decoded = avif_sandbox.decode(data, needed)
    except avif_sandbox.FailedError as error:
        raise pixels.damaged() from error
    return np.frombuffer(decoded, np.uint8).reshape(SIZE, SIZE, 3).copy()


def decoder() -> str:
    """The code and library versions that determine the pixels, as a key for caches of them."""
    libraries = ["pillow", "pillow-heif", *(["cykooz-resizer"] if resize.Resizer else [])]
    versions = [f"{name} {version(name)}" for name in libraries]
    sources = [Path(__file__).with_name(f"{name}.py").read_text() for name in SOURCES]
    return "\n".join([*versions, *sources])
