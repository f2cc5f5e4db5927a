"""The same lesion photographed otherwise, masked, or partly covered: what the verdict does then."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from lens.formats import FORMATS
from lens.images import SIZE, InvalidImage, decode
from lens.resize import to_rgb

MASKED_SHARE = 0.7
"""Diameter of the disc that hides the lesion, as a share of the photo's side."""
GREY = 128
TENTH = 0.1

_LARGEST_SIDE = 1000  # Twice the network's input; changing 12 megapixels eight times takes seconds.


def changes(data: bytes) -> Iterator[tuple[str, np.ndarray | None]]:
    """Change a photo as cameras and people do, each time from the file as it came.

    The changed photo is saved (losslessly but for the JPEG) and decoded as an upload is. Only
    photos over 1000 px a side are first reduced to that.

    Args:
        data: a whole file that ``lens.images.decode`` accepts.

    Yields:
        The name of the change, and uint8 (500, 500, 3), or None where the changed photo is refused
        by ``decode`` (too small).
    """
    photo = _open(data)
    yield "rotation by 90°", _decoded(photo.transpose(Image.Transpose.ROTATE_90))
    yield "rotation by 17°", _decoded(_rotated(photo, 17))
    yield "left-right flip", _decoded(ImageOps.mirror(photo))
    yield "top-bottom flip", _decoded(ImageOps.flip(photo))
    yield "JPEG quality 50", _decoded(photo, "JPEG", quality=50)
    yield "15 % brighter", _decoded(ImageEnhance.Brightness(photo).enhance(1.15))
    yield "15 % darker", _decoded(ImageEnhance.Brightness(photo).enhance(0.85))
    size = round(photo.width * 0.7), round(photo.height * 0.7)
    yield "resize by 0.7", _decoded(photo.resize(size, Image.Resampling.BICUBIC))


def mask_lesion(image: np.ndarray) -> np.ndarray:
    """Hide the middle of a photo, where the lesion is, under a grey disc of 70 % of its side.

    What a network still tells benign from malignant by is not the lesion.

    Args:
        image: uint8 (500, 500, 3).

    Returns:
        A masked copy.
    """
    masked = Image.fromarray(image)
    near, far = SIZE * (1 - MASKED_SHARE) / 2, SIZE * (1 + MASKED_SHARE) / 2
    ImageDraw.Draw(masked).ellipse((near, near, far, far), fill=(GREY, GREY, GREY))
    return np.array(masked)


def hottest_tenth(heat_map: np.ndarray) -> np.ndarray:
    """The tenth of a heat map's places (h, w) with the most evidence, as bool (h, w)."""
    order = np.argsort(heat_map, axis=None, kind="stable")
    return _places(order[::-1][: _tenth(heat_map)], heat_map.shape)


def random_tenth(heat_map: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many places of a heat map (h, w), chosen by ``rng``, as bool (h, w)."""
    chosen = rng.choice(heat_map.size, _tenth(heat_map), replace=False)
    return _places(chosen, heat_map.shape)


def cover(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Paint places of a photo, uint8 (500, 500, 3), in its own mean colour.

    Args:
        image: the photo.
        places: bool (h, w), a coarse grid over the photo.

    Returns:
        A painted copy.
    """
    grid = Image.fromarray(places.astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.NEAREST)
    covered = image.copy()
    covered[np.asarray(grid) > 0] = image.mean(axis=(0, 1)).round().astype(np.uint8)
    return covered


def _tenth(heat_map: np.ndarray) -> int:
    return max(1, round(heat_map.size * TENTH))


def _places(chosen: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    places = np.zeros(shape, bool)
    places.flat[chosen] = True
    return places


def _open(data: bytes) -> Image.Image:
    photo = Image.open(BytesIO(data), formats=FORMATS)
    photo.draft("RGB", (2 * _LARGEST_SIDE, 2 * _LARGEST_SIDE))
    upright = to_rgb(ImageOps.exif_transpose(photo))
    upright.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.BICUBIC)
    return upright


def _rotated(photo: Image.Image, degrees: float) -> Image.Image:
    """Turned about its centre; the corners mirror the rim, since no camera sees black ones."""
    margin = max(photo.size) // 4
    pixels = np.pad(np.asarray(photo), ((margin, margin), (margin, margin), (0, 0)), "symmetric")
    turned = Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC)
    return turned.crop((margin, margin, margin + photo.width, margin + photo.height))


def _decoded(photo: Image.Image, kind: str = "PNG", **options: int) -> np.ndarray | None:
    buffer = BytesIO()
    photo.save(buffer, kind, **(options or {"compress_level": 1}))
    try:
        return decode(buffer.getvalue())
    except InvalidImage:
        return None
