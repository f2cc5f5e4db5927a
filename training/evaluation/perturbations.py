"""Change photos as another camera would, mask the lesion, or cover a tenth of the photo."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from lens import pixels
from lens.images import SIZE, InvalidImage, decode

MASKED_SHARE = 0.7
"""Diameter of the disc that hides the lesion, as a share of the photo's side."""
GREY = 128
COVERED_SHARE = 0.1
"""Share of the heat map's positions that are covered."""

_MAX_SIDE = 1000  # Twice the network's input; changing 12 megapixels eight times takes seconds.


def changes(data: bytes) -> Iterator[tuple[str, np.ndarray | None]]:
    """Change a photo as cameras and people do; each change is applied to the original.

    The changed photo is saved, losslessly unless the change is JPEG compression, and decoded like
    an upload. Photos with a side over 1000 px are first reduced to a longer side of 1000 px.

    Args:
        data: the content of a file that ``lens.images.decode`` accepts.

    Yields:
        The name of the change, and the photo, uint8 (500, 500, 3), or None if ``decode`` refuses it
        because it is too small.
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
    """Copy a photo, uint8 (500, 500, 3), with a grey disc over its middle, where the lesion is."""
    masked = Image.fromarray(image)
    near, far = SIZE * (1 - MASKED_SHARE) / 2, SIZE * (1 + MASKED_SHARE) / 2
    ImageDraw.Draw(masked).ellipse((near, near, far, far), fill=(GREY, GREY, GREY))
    return np.array(masked)


def hottest_tenth(heat_map: np.ndarray) -> np.ndarray:
    """Mask, bool (h, w), of the tenth of a heat map's positions with the highest values."""
    order = np.argsort(heat_map, axis=None, kind="stable")
    return _mask(order[::-1][: _tenth(heat_map)], heat_map.shape)


def random_tenth(heat_map: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mask, bool (h, w), of a random tenth of a heat map's positions."""
    chosen = rng.choice(heat_map.size, _tenth(heat_map), replace=False)
    return _mask(chosen, heat_map.shape)


def cover(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Cover parts of a photo with its mean colour.

    Args:
        image: uint8 (500, 500, 3).
        mask: bool (h, w), a coarse grid over the photo.

    Returns:
        A changed copy.
    """
    grid = Image.fromarray(mask.astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.NEAREST)
    covered = image.copy()
    covered[np.asarray(grid) > 0] = image.mean(axis=(0, 1)).round().astype(np.uint8)
    return covered


def _tenth(heat_map: np.ndarray) -> int:
    return max(1, round(heat_map.size * COVERED_SHARE))


def _mask(chosen: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask.flat[chosen] = True
    return mask


def _open(data: bytes) -> Image.Image:
    upright = pixels.upright(pixels.open_photo(data, side=2 * _MAX_SIDE))
    upright.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.BICUBIC)
    return upright


def _rotated(photo: Image.Image, degrees: float) -> Image.Image:
    """Rotate around the centre; the corners are filled with mirrored pixels, not with black."""
    margin = max(photo.size) // 4
    padded = np.pad(np.asarray(photo), ((margin, margin), (margin, margin), (0, 0)), "symmetric")
    turned = Image.fromarray(padded).rotate(degrees, Image.Resampling.BICUBIC)
    return turned.crop((margin, margin, margin + photo.width, margin + photo.height))


def _decoded(photo: Image.Image, kind: str = "PNG", **options: int) -> np.ndarray | None:
    buffer = BytesIO()
    photo.save(buffer, kind, **(options or {"compress_level": 1}))
    try:
        return decode(buffer.getvalue())
    except InvalidImage:
        return None
