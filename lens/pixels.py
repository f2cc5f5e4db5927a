"""Decode one photo: open it, turn it upright, resize it to the network's input."""

import math
import warnings
from io import BytesIO

import numpy as np
import pillow_heif
from PIL import ExifTags, Image

from lens.resize import SIZE, to_square

MAX_PIXELS = 40_000_000
"""Largest photo decoded. Phones save 12 to 24 megapixels; Pillow holds 40 MP in 160 MB."""

MIN_SIDE = 64
"""Shortest side accepted, in pixels; below it a lesion has too few pixels to show any structure."""

# Bytes a pixel at the worst, of the decoder and Pillow together: libwebp keeps two canvases of RGBA
# and hands out a third (a 38-byte file of 40 MP took 950 MB); libavif may hold 16-bit planes.
_BYTES_A_PIXEL = {"PNG": 4, "WEBP": 16, "AVIF": 16, "HEIF": 10}

MAX_SCANNED = 5_000_000_000
"""Most pixels times scans of a JPEG: a few bytes make one more scan, and the decoder visits every
block of the picture for it. A progressive photo has about ten scans."""

_GAP = 3.0
"""The picture is averaged in whole blocks down to this many times its final size, then resized."""
_STRIP_PIXELS = 1_000_000

# An allowlist: Pillow's rarely used decoders (FPX, SGI, PSD ...) are where its CVEs are found.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
_BRANDS = (b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis", b"hevc")
_SIGNATURES = (
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (8, b"WEBP"),
    *((4, b"ftyp" + brand) for brand in _BRANDS),
)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# A preview in the file may show anything: only the picture itself is looked at.
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
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


def decode_here(data: bytes) -> np.ndarray:
    """``decode`` an AVIF in this process: for the child that lens/avif_sandbox.py bounds."""
    return to_input(open_photo(data))


def to_input(image: Image.Image) -> np.ndarray:
    """The network's input of an opened photo: uint8 (500, 500, 3)."""
    try:
        image.load()
    except Exception as error:  # Decoders raise anything at all on a damaged file.
        raise damaged() from error
    small = _shrunk(image)
    # A square turns as well after resizing as before, and 500 px turn faster than 12 megapixels.
    turn = _UPRIGHT.get(_orientation(image))
    return np.array(small if turn is None else small.transpose(turn))


def open_photo(data: bytes) -> Image.Image:
    """Read a photo's header, and refuse what cannot be judged; no pixel is decoded yet."""
    if not data:
        raise UnusableImage("empty", "The file is empty. Please choose the photo again.")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise too_many_pixels() from error
    except Exception as error:  # Not only OSError: SyntaxError, struct.error, RuntimeError ...
        if any(data[at : at + len(mark)] == mark for at, mark in _SIGNATURES):
            raise damaged() from error
        raise UnsupportedImage(
            "unsupported_format",
            "This file is not a photo we can read. "
            "Please send a JPEG, PNG, WebP, AVIF or HEIC photo.",
        ) from error
    if image.width * image.height > MAX_PIXELS:
        raise too_many_pixels(image.size)
    if _is_jpeg(image) and data.count(b"\xff\xda") * image.width * image.height > MAX_SCANNED:
        raise damaged()
    if min(image.size) < MIN_SIDE:
        raise UnusableImage(
            "too_small",
            f"The photo is {image.width} by {image.height} pixels; at least {MIN_SIDE} by "
            f"{MIN_SIDE} are needed. Please send the original photo, not a thumbnail.",
        )
    return image


def _is_jpeg(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO")  # MPO is a JPEG with further pictures behind it.


def bytes_needed(image: Image.Image, size: tuple[int, int]) -> int:
    """What decoding will take at most, for an image of ``size`` that may be drafted smaller."""
    pixels = size[0] * size[1]
    if _is_jpeg(image):
        # One of several scans is kept whole, as 16-bit coefficients; then the drafted picture.
        return 2 * len(image.getbands()) * pixels + 4 * image.width * image.height
    return _BYTES_A_PIXEL[str(image.format)] * pixels


def _shrunk(image: Image.Image) -> Image.Image:
    """RGB of 500 x 500, whose pixels do not depend on whether the image was cut in strips."""
    blocks = tuple(int(side / SIZE / _GAP) or 1 for side in image.size)
    across, down = blocks
    if image.mode != "RGB" or image.has_transparency_data:
        reduced = _reduced_in_strips(image, across, down)
    else:  # Most photos. Nothing to convert, and each copy spared is 3 MB less to touch.
        reduced = image if blocks == (1, 1) else image.reduce((across, down))
    return to_square(reduced, (image.width / across, image.height / down))


def _reduced_in_strips(image: Image.Image, across: int, down: int) -> Image.Image:
    """RGB, averaged in blocks. Converting the whole photo at once would take 160 MB a copy."""
    width, height = image.size
    small = Image.new("RGB", (math.ceil(width / across), math.ceil(height / down)))
    rows = down * max(1, _STRIP_PIXELS // (width * down))
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        small.paste(to_rgb(strip).reduce((across, down)), (0, top // down))
    return small


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB: on white where transparent, 16-bit greys scaled to 0-255."""
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
    except Exception:  # Broken EXIF says nothing about the pixels, which decoded well.
        return 1


def damaged() -> UnusableImage:
    """The error for a file whose pixels cannot all be decoded."""
    return UnusableImage(
        "damaged", "The photo is damaged or incomplete. Please send it again or take a new one."
    )


def too_many_pixels(size: tuple[int, int] | None = None) -> UnusableImage:
    """The error for a photo that would take too much memory."""
    has = f"is {size[0]} by {size[1]} pixels" if size else "has very many pixels"
    return UnusableImage(
        "too_many_pixels",
        f"The photo {has}, more than can be read. Please send a smaller copy, best as a JPEG "
        f"of at most {MAX_PIXELS // 1_000_000} megapixels.",
    )
