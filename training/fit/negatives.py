"""Make images without a lesion, which the network learns to refuse: patterns and bare skin."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from lens.images import SIZE

# Limits for a corner to count as bare skin, in grey levels: its standard deviation, its mean, and
# how much lighter it is than the middle of the photo.
_MAX_DEVIATION, _MIN_MEAN, _MIN_LIGHTER_BY = 9.0, 100.0, 15.0


def paint_negative(rng: np.random.Generator) -> np.ndarray:
    """Paint noise, a flat colour, a gradient, a page of text, or stripes at random.

    Returns:
        uint8 (500, 500, 3).
    """
    painters = (_noise, _flat, _gradient, _text, _stripes)
    painted: np.ndarray = painters[rng.integers(len(painters))](rng)
    return painted


def crop_skin(lesion: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Crop bare skin from a random corner of a photo, if the corner clearly shows nothing else.

    Args:
        lesion: uint8 (500, 500, 3).
        rng: chooses the corner and its size.

    Returns:
        uint8 (500, 500, 3). None if the corner may contain a part of the lesion or a dermatoscope's
        rim, because it is uneven, dark, or hardly lighter than the middle.
    """
    side = int(rng.integers(SIZE // 4, SIZE // 2))
    top, left = (int(place) for place in rng.choice([0, SIZE - side], 2))
    corner = Image.fromarray(lesion[top : top + side, left : left + side])
    levels = np.asarray(corner.convert("L"), np.float32)
    middle = np.asarray(Image.fromarray(lesion[125:375, 125:375]).convert("L"), np.float32)
    plain = levels.std() < _MAX_DEVIATION and levels.mean() > _MIN_MEAN
    if not plain or levels.mean() - middle.mean() < _MIN_LIGHTER_BY:
        return None
    return np.asarray(corner.resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def _noise(rng: np.random.Generator) -> np.ndarray:
    # Coarse grain looks like texture, fine grain like the noise of a sensor in the dark.
    grain = int(rng.choice([8, 32, 128, SIZE]))
    pixels = rng.integers(0, 256, (grain, grain, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def _flat(rng: np.random.Generator) -> np.ndarray:
    colour = rng.integers(0, 256, 3).astype(np.float32)
    grain = 3 * rng.standard_normal((SIZE, SIZE, 3), np.float32)
    return np.clip(colour + grain, 0, 255).astype(np.uint8)


def _gradient(rng: np.random.Generator) -> np.ndarray:
    pixels = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def _text(rng: np.random.Generator) -> np.ndarray:
    page = Image.new("RGB", (SIZE, SIZE), (245, 245, 240))
    draw = ImageDraw.Draw(page)
    height = int(rng.integers(12, 40))
    for top in range(0, SIZE, height + 6):
        letters = rng.choice(list("abcdefghijklmnopqrstuvwxyz     "), 2 * SIZE // height)
        draw.text((10, top), "".join(letters), fill=(20, 20, 30), font_size=height)
    return np.asarray(page)


def _stripes(rng: np.random.Generator) -> np.ndarray:
    page = Image.new("RGB", (SIZE, SIZE), tuple(int(c) for c in rng.integers(0, 256, 3)))
    draw = ImageDraw.Draw(page)
    ink = tuple(int(c) for c in rng.integers(0, 256, 3))
    step = int(rng.integers(10, 120))
    for left in range(0, SIZE, step):
        draw.rectangle((left, 0, left + step // 2, SIZE), fill=ink)
    turned = page.rotate(float(rng.uniform(0, 180)), Image.Resampling.BILINEAR)
    return np.asarray(turned.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 4)))))
