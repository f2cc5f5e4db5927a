"""Bytes of a photo in, the network's input out: the one decode that training and serving share."""

import struct
import warnings
from io import BytesIO

import numpy as np
import pillow_heif
from PIL import ExifTags, Image

SIZE = 500
"""Side of the square handed to the network, in pixels (the paper's input size)."""

MAX_PIXELS = 40_000_000
"""Largest photo decoded. Phones save 12 to 24 megapixels; 40 MP of RGB is 120 MB of memory."""

MIN_SIDE = 64
"""Shortest side accepted, in pixels; below it a lesion has too few pixels to show any structure."""

# An allowlist: Pillow's rarely used decoders (FPX, SGI, PSD ...) are where its CVEs are found.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
_SIGNATURES = ((0, b"\xff\xd8\xff"), (0, b"\x89PNG\r\n\x1a\n"), (8, b"WEBP"), (4, b"ftyp"))

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow's decoders raise on damaged files: not only OSError (found by fuzzing others' files).
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, TypeError)

pillow_heif.register_heif_opener()
# Photos over Pillow's own limit are refused below, in words; its warning would only fill the log.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class InvalidImage(Exception):
    """A file that cannot be judged as a photo.

    ``str(error)`` is a sentence fit for a person; ``reason`` is a stable code for programs.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnsupportedImage(InvalidImage):
    """The file is not in one of the accepted formats."""


class UnusableImage(InvalidImage):
    """The format is accepted, but this file is empty, damaged, too large or too small."""


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
        UnusableImage: empty, damaged, over 40 megapixels, or under 64 pixels on a side.
    """
    image = _open(data)
    try:
        # The JPEG decoder halves or quarters the size while decoding: 30 ms for 12 MP, not 120.
        image.draft("RGB", (SIZE, SIZE))
        image.load()
        small = _to_rgb(image).resize((SIZE, SIZE), Image.Resampling.BICUBIC, reducing_gap=3.0)
    except (Image.DecompressionBombError, *_DECODER_ERRORS) as error:
        raise _damaged() from error
    # A square turns as well after resizing as before, and 500 px turn faster than 12 megapixels.
    turn = _UPRIGHT.get(_orientation(image))
    return np.array(small if turn is None else small.transpose(turn))


def _open(data: bytes) -> Image.Image:
    if not data:
        raise UnusableImage("empty", "The file is empty. Please choose the photo again.")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels() from error
    except _DECODER_ERRORS as error:
        if any(data[at : at + len(mark)] == mark for at, mark in _SIGNATURES):
            raise _damaged() from error
        raise UnsupportedImage(
            "unsupported_format",
            "This file is not a photo we can read. "
            "Please send a JPEG, PNG, WebP, AVIF or HEIC photo.",
        ) from error
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels()
    if min(image.size) < MIN_SIDE:
        raise UnusableImage(
            "too_small",
            f"The photo is {image.width} by {image.height} pixels; at least {MIN_SIDE} by "
            f"{MIN_SIDE} are needed. Please send the original photo, not a thumbnail.",
        )
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow clips 16-bit greys at 255 when it converts them; 65535 / 257 is 255.
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (*_DECODER_ERRORS, KeyError):
        return 1  # Broken EXIF says nothing about the pixels, which decoded well.


def _damaged() -> UnusableImage:
    return UnusableImage(
        "damaged", "The photo is damaged or incomplete. Please send it again or take a new one."
    )


def _too_many_pixels() -> UnusableImage:
    return UnusableImage(
        "too_many_pixels",
        f"The photo has more than {MAX_PIXELS // 1_000_000} megapixels. "
        "Please send a smaller copy.",
    )
