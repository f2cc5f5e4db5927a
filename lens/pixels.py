"""Decode one photo: open it, turn it upright, resize it to the network's input."""

import warnings
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pillow_heif
from PIL import ExifTags, Image

from lens import cicp, colour, icc, isobmff, jpeg, png
from lens.colour import Conversion, Profile
from lens.formats import (
    FORMATS,
    UnsupportedImage,
    UnusableImage,
    is_read,
    kind_of,
    kind_of_jpeg,
    with_known_brand,
)
from lens.resize import SIZE, to_input_size

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

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_ADOBE_RGB = b"R03"
_ADOBE_LIGHTS = (*icc.BT709[:4], 0.21, 0.71, *icc.BT709[6:])
_GAMMA = np.linspace(0, 1, icc.CURVE_POINTS) ** (563 / 256)
ADOBE_RGB = Profile(icc.matrix_profile(_ADOBE_LIGHTS, _GAMMA), by_numbers=True)

# A preview in the file may show anything: only the picture itself is looked at.
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
# Photos over Pillow's own limit are refused below, in words; its warning would only fill the log.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Photo:
    """A photo whose header was read.

    Attributes:
        image: not decoded yet; of a JPEG, at the scale it will be decoded at.
        size: width and height in the file.
        profiles: its colours; the first that is of use decides.
        twin: of a JPEG without its end marker, the image with another end; they differ if pixels
            are missing.
    """

    image: Image.Image
    size: tuple[int, int]
    profiles: list[Profile]
    twin: Image.Image | None = None


def decode_here(data: bytes) -> np.ndarray:
    """``decode`` an AVIF in this process: for the child that lens/avif_sandbox.py bounds."""
    return to_input(open_photo(data))


def to_input(photo: Photo) -> np.ndarray:
    """The network's input of an opened photo: uint8 (500, 500, 3)."""
    to_srgb = colour.conversion(photo.profiles, _mode(photo.image))
    twin = photo.twin and _decoded(photo.twin, to_srgb)
    small = _decoded(photo.image, to_srgb)
    if twin and twin.tobytes() != small.tobytes():
        raise damaged()
    # A square turns as well after resizing as before, and 500 px turn faster than 12 megapixels.
    turn = _UPRIGHT.get(_orientation(photo.image))
    return np.array(small if turn is None else small.transpose(turn))


def _decoded(image: Image.Image, to_srgb: Conversion | None) -> Image.Image:
    try:
        image.load()
    except Exception as error:  # Decoders raise anything at all on a damaged file.
        raise damaged() from error
    return to_input_size(image, to_srgb)


def open_photo(data: bytes) -> Photo:
    """Read a photo's header, and refuse what cannot be judged; no pixel is decoded yet."""
    if not data:
        raise UnusableImage("empty", "The file is empty. Please choose the photo again.")
    try:
        photo = _opened(data)
    except Image.DecompressionBombError as error:
        raise too_many_pixels() from error
    except UnsupportedImage:
        raise
    except Exception as error:  # Not only OSError: SyntaxError, struct.error, RuntimeError ...
        if is_read(data):
            raise damaged() from error
        raise UnsupportedImage(kind_of(data)) from error
    width, height = photo.size
    if width * height > MAX_PIXELS:
        raise too_many_pixels((width, height))
    if min(width, height) < MIN_SIDE:
        raise UnusableImage(
            "too_small",
            f"The photo is {width} by {height} pixels; at least {MIN_SIDE} by {MIN_SIDE} are "
            "needed. Please send the original photo, not a thumbnail.",
        )
    return photo


def _opened(data: bytes) -> Photo:
    """Metadata that JPEG and PNG do not need is kept from Pillow, which may fail on it."""
    if data.startswith(png.SIGNATURE):
        chunks = png.read(data)
        image = _open(chunks.data)
        return Photo(image, image.size, chunks.profiles)
    if data.startswith(jpeg.SIGNATURE):
        return _opened_jpeg(jpeg.read(data))
    data = with_known_brand(data)
    try:
        image = _open(data)
    except Image.UnidentifiedImageError:  # libheif reads no file that names reserved numbers.
        image = _open(isobmff.without_numbers(data))
    if embedded := image.info.get("icc_profile"):
        return Photo(image, image.size, [Profile(embedded)])
    if image.format == "AVIF":
        numbers = isobmff.nclx(data)
    else:
        named = image.info.get("nclx_profile", {})
        numbers = named and (named["color_primaries"], named["transfer_characteristics"])
    profile = cicp.profile(*numbers) if numbers else None
    return Photo(image, image.size, [Profile(profile, by_numbers=True)] if profile else [])


def _opened_jpeg(markers: jpeg.Jpeg) -> Photo:
    if kind := kind_of_jpeg(markers.frame, markers.bits):
        raise UnsupportedImage(kind)
    if not markers.ended and not markers.is_covered:
        raise ValueError("expected further scans and an end marker")
    image, *twins = (_open(file) for file in markers.files())
    size = image.size
    if len(markers.scans) * size[0] * size[1] > MAX_SCANNED:
        raise ValueError(f"expected fewer than {len(markers.scans)} scans")
    for each in (image, *twins):
        # The decoder halves or quarters the size while decoding: 20 ms for 12 MP, not 120.
        each.draft("RGB", (SIZE, SIZE))
    if markers.profile:
        profiles = [Profile(markers.profile)]
    else:
        profiles = [ADOBE_RGB] if _is_adobe_rgb(image) else []
    return Photo(image, size, profiles, *twins)


def _open(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data), formats=FORMATS)


def _is_adobe_rgb(image: Image.Image) -> bool:
    """Cameras set to Adobe RGB may embed no profile, and say it in EXIF (DCF 2.0) instead."""
    if _ADOBE_RGB not in image.info.get("exif", b""):  # Reading all of it takes 0.3 ms.
        return False
    try:
        index = image.getexif().get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    except Exception:  # Broken EXIF says nothing.
        return False
    return index == _ADOBE_RGB.decode()


def _mode(image: Image.Image) -> str:
    return {"L": "L", "1": "L", "I": "L", "C": "CMYK"}.get(image.getbands()[0], "RGB")


def bytes_needed(photo: Photo) -> int:
    """What decoding will take at most."""
    pixels = photo.size[0] * photo.size[1]
    image = photo.image
    if image.format == "JPEG":
        # One of several scans is kept whole, as 16-bit coefficients; then the drafted picture.
        return 2 * len(image.getbands()) * pixels + 4 * image.width * image.height
    return _BYTES_A_PIXEL[str(image.format)] * pixels


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
