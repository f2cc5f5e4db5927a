"""The photos for benchmarks: a painted lesion, or a given photo, in two realistic sizes."""

import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lens.artifact import read_card, write_card

SIZES = {"0.8 MP": (1024, 768), "12 MP": (4032, 3024)}
"""Width and height of a dermoscopic photo in the ISIC Archive, and of a photo by phone."""


def jpegs(photo: Path | None) -> dict[str, bytes]:
    """A JPEG file of each size, from ``photo`` or painted; always the same bytes."""
    source = Image.open(photo).convert("RGB") if photo else paint()
    return {name: _encode(ImageOps.fit(source, size)) for name, size in SIZES.items()}


def without_lesion_check(model: Path, folder: Path) -> Path:
    """Copy a model to ``folder`` without its check for a lesion, which the painted photo fails.

    The network is the same. For a refused photo, part of the work would be skipped.
    """
    copy = folder / model.name
    shutil.copyfile(model, copy)
    card = read_card(copy)
    points = {k: replace(p, lesion_threshold=None) for k, p in card.operating_points.items()}
    write_card(copy, replace(card, operating_points=points))
    return copy


def paint(seed: int = 0) -> Image.Image:
    """Paint a dark uneven spot on skin, 12 megapixels, with detail at all scales, as in a photo."""
    width, height = SIZES["12 MP"]
    rng = np.random.default_rng(seed)
    texture = np.zeros((height, width), np.float32)
    for octave in range(1, 11):
        coarse = rng.normal(0, 1, (2 + height >> octave, 2 + width >> octave)).astype(np.float32)
        layer = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        texture += np.asarray(layer) * 2 ** (octave * 0.45) * 0.9
    y, x = np.mgrid[:height, :width].astype(np.float32)
    radius = np.hypot(x - width / 2, (y - height / 2) * 1.2) + texture * 15
    weight = (1 / (1 + np.exp((radius - height / 4) / 40)))[..., None]
    skin, spot = np.array([224, 178, 156], np.float32), np.array([96, 58, 46], np.float32)
    pixels = spot * weight + skin * (1 - weight) + texture[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _encode(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
