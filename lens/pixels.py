"""Decode one photo: open it, turn it upright, resize it to the network's input."""

import warnings
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageChops, UnidentifiedImageError

from lens import cicp, colour, icc, isobmff, jpeg, png
from lens.arrays import Pixels
from lens.colour import Profile
from lens.formats import (
    FORMATS,
    UnsupportedImage,
    UnusableImage,
    is_accepted,
    known_type,
    unsupported_jpeg,
    with_known_brand,
)
from lens.resize import SIZE, to_input_size, to_rgb

MAX_PIXELS = 40_000_000
"""Phones save 12 to 24 megapixels; Pillow needs 160 MB for 40 MP."""

MIN_SIDE = 64
"""Pixels. In a smaller photo a lesion shows no structure."""

_BYTES_PER_PIXEL = {"PNG": 4, "WEBP": 16, "AVIF": 16, "HEIF": 10}
"""Worst case of the decoder and Pillow together. libwebp keeps three RGBA canvases (a 38-byte file
of 40 MP took 950 MB), and libavif may keep 16-bit planes."""

MAX_SCANNED_PIXELS = 5_000_000_000
"""Pixels times scans of a JPEG. A few bytes are enough for another scan, for which the decoder
visits every block of the picture. A progressive photo has about ten scans."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_ADOBE_RGB_INDEX = b"R03"
_ADOBE_CHROMATICITIES = (*icc.BT709[:4], 0.21, 0.71, *icc.BT709[6:])
_ADOBE_CURVE = np.linspace(0, 1, icc.CURVE_POINTS) ** (563 / 256)
ADOBE_RGB = Profile(icc.matrix_profile(_ADOBE_CHROMATICITIES, _ADOBE_CURVE), from_parameters=True)

# Embedded previews may differ from the picture itself, so they are ignored.
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
# ``open_photo`` refuses photos over Pillow's own limit; Pillow's warning would only fill the log.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Photo:
    """A photo whose header was read, but whose pixels are not decoded yet.

    Attributes:
        image: the photo; a JPEG at the scale at which it will be decoded.
        size: width and height in the file.
        profiles: its colour spaces, of which the first usable one applies.
        twin: for a JPEG without an end marker, the same image with another end. If the pixels of
            the two differ, pixels are missing.
    """

    image: Image.Image
    size: tuple[int, int]
    profiles: list[Profile]
    twin: Image.Image | None = None


def decode_here(data: bytes) -> Pixels:
    """Decode in this process, which must be the child process of ``lens.sandbox``."""
    return to_input(open_photo(data))


def to_input(photo: Photo) -> Pixels:
    """Decode an opened photo to the network's input, uint8 (500, 500, 3)."""
    twin = photo.twin and _decoded(photo.twin, photo.profiles)
    small = _decoded(photo.image, photo.profiles)
    if twin and twin.tobytes() != small.tobytes():
        raise damaged()
    # The result is a square, so it can be turned after resizing, which is faster.
    turn = _UPRIGHT.get(_orientation(photo.image))
    return np.array(small if turn is None else small.transpose(turn))


def _decoded(image: Image.Image, profiles: list[Profile]) -> Image.Image:
    try:
        image.load()
    except Exception as error:  # Decoders raise exceptions of many types on damaged files.
        raise damaged() from error
    return to_input_size(image, colour.conversion(profiles, _mode(image, profiles)))


def upright(photo: Photo) -> Image.Image:
    """Decode an opened photo to upright sRGB, at the size it was opened with."""
    photo.image.load()
    to_srgb = colour.conversion(photo.profiles, _mode(photo.image, photo.profiles))
    turn = _UPRIGHT.get(_orientation(photo.image))
    rgb = to_rgb(photo.image, to_srgb)
    return rgb if turn is None else rgb.transpose(turn)


def _mode(image: Image.Image, profiles: list[Profile]) -> str:
    """The mode that a profile for these pixels must have: ``L``, ``CMYK`` or ``RGB``."""
    bands = image.getbands()
    mode = {"L": "L", "1": "L", "I": "L", "C": "CMYK"}.get(bands[0], "RGB")
    # A grey WebP or AVIF is decoded to RGB but keeps its grey profile.
    if bands[0] == "R" and any(profile.is_grey for profile in profiles):
        red, green, blue = (image.getchannel(band) for band in "RGB")
        differ = any(ImageChops.difference(red, other).getbbox() for other in (green, blue))
        return "RGB" if differ else "L"
    return mode


def open_photo(data: bytes, side: int = SIZE) -> Photo:
    """Read a photo's header and refuse unusable files, without decoding pixels.

    Args:
        data: the whole file.
        side: a JPEG is decoded at a reduced scale that leaves both sides at least this long.
    """
    if not data:
        raise UnusableImage("empty", "The file is empty. Please choose the photo again.")
    try:
        photo = _opened(data, side)
    except Image.DecompressionBombError as error:
        raise too_many_pixels() from error
    except UnsupportedImage:
        raise
    except Exception as error:  # Not only OSError: SyntaxError, struct.error, RuntimeError ...
        if is_accepted(data):
            raise damaged() from error
        raise UnsupportedImage(known_type(data)) from error
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


def _opened(data: bytes, side: int) -> Photo:
    """Open a photo. Unneeded metadata of JPEG and PNG, on which Pillow might fail, is removed."""
    if data.startswith(png.SIGNATURE):
        chunks = png.read(data)
        image = _open(chunks.data)
        return Photo(image, image.size, chunks.profiles)
    if data.startswith(jpeg.SIGNATURE):
        return _opened_jpeg(jpeg.read(data), side)
    data = with_known_brand(data)
    try:
        image = _open(data)
    except UnidentifiedImageError:  # libheif rejects files with reserved code points.
        image = _open(isobmff.without_colour_space(data))
    if embedded := image.info.get("icc_profile"):
        return Photo(image, image.size, [Profile(embedded)])
    if image.format == "AVIF":
        code_points = isobmff.nclx(data)
    else:
        nclx = image.info.get("nclx_profile", {})
        code_points = nclx and (nclx["color_primaries"], nclx["transfer_characteristics"])
    profile = cicp.profile(*code_points) if code_points else None
    return Photo(image, image.size, [Profile(profile, from_parameters=True)] if profile else [])


def _opened_jpeg(markers: jpeg.Jpeg, side: int) -> Photo:
    if file_type := unsupported_jpeg(markers.frame, markers.bits):
        raise UnsupportedImage(file_type)
    if not markers.ended and not markers.has_all_coefficients:
        raise ValueError("expected further scans and an end marker")
    image, *twins = (_open(file) for file in markers.files())
    size = image.size
    if len(markers.scans) * size[0] * size[1] > MAX_SCANNED_PIXELS:
        raise ValueError(f"expected fewer than {len(markers.scans)} scans")
    for each in (image, *twins):
        # Decoding at a reduced scale takes 20 ms for 12 MP instead of 120.
        each.draft("RGB", (side, side))
    if markers.profile:
        profiles = [Profile(markers.profile)]
    else:
        profiles = [ADOBE_RGB] if _is_adobe_rgb(image) else []
    return Photo(image, size, profiles, *twins)


def _open(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data), formats=FORMATS)


def _is_adobe_rgb(image: Image.Image) -> bool:
    """Whether EXIF declares Adobe RGB (DCF 2.0), as some cameras do instead of a profile."""
    if _ADOBE_RGB_INDEX not in image.info.get("exif", b""):  # Saves parsing EXIF, 0.3 ms.
        return False
    try:
        index = image.getexif().get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex)
    except Exception:  # Broken EXIF is ignored.
        return False
    return index == _ADOBE_RGB_INDEX.decode()


def bytes_needed(photo: Photo) -> int:
    """The maximum memory that decoding can need, in bytes."""
    pixels = photo.size[0] * photo.size[1]
    image = photo.image
    if image.format == "JPEG":
        # A progressive JPEG takes 16-bit coefficients at full size, then the reduced picture.
        return 2 * len(image.getbands()) * pixels + 4 * image.width * image.height
    return _BYTES_PER_PIXEL[str(image.format)] * pixels


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Broken EXIF is ignored; the pixels may be fine.
        return 1


def damaged() -> UnusableImage:
    """The error for a file some of whose pixels cannot be decoded."""
    return UnusableImage(
        "damaged", "The photo is damaged or incomplete. Please send it again or take a new one."
    )


def too_many_pixels(size: tuple[int, int] | None = None) -> UnusableImage:
    """The error for a photo that would take too much memory."""
    fault = f"is {size[0]} by {size[1]} pixels" if size else "has very many pixels"
    return UnusableImage(
        "too_many_pixels",
        f"The photo {fault}, more than can be read. Please send a smaller copy, preferably as "
        f"a JPEG of at most {MAX_PIXELS // 1_000_000} megapixels.",
    )
