"""Encode the pictures of a result: the photo without metadata, and the heat map to lay over it."""

from io import BytesIO

import numpy as np
from PIL import Image

from lens.arrays import Floats, Pixels

HEAT_SIDE = 250
"""Pixels. The browser enlarges the heat map smoothly to the photo's size."""

# From dark red to pale yellow. Lightness only increases, so colour-blind people can read it, too.
_VALUES = (0.0, 0.35, 0.7, 1.0)
_COLOURS = ((60, 0, 30), (190, 20, 40), (250, 140, 10), (255, 245, 180))
_MAX_ALPHA = 160

_JPEG_QUALITY = 88
"""Conventional value; not tuned."""


def photo_jpeg(pixels: Pixels) -> bytes:
    """Encode decoded pixels (uint8, h x w x 3) as JPEG, without metadata."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def heat_png(heat_map: Floats) -> bytes:
    """Encode a heat map (float, h x w, 0 to 1) as PNG; 0 is transparent."""
    coarse = Image.fromarray(np.clip(heat_map, 0, 1).astype(np.float32))
    side = (HEAT_SIDE, HEAT_SIDE)
    heat = np.clip(np.asarray(coarse.resize(side, Image.Resampling.BICUBIC)), 0, 1)
    channels = [np.interp(heat, _VALUES, [stop[c] for stop in _COLOURS]) for c in range(3)]
    layers = np.stack([*channels, heat * _MAX_ALPHA], axis=-1).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(layers).save(buffer, "PNG")
    return buffer.getvalue()


def blended_jpeg(photo: bytes, heat_map: bytes) -> bytes:
    """Lay the heat map over the photo, for print."""
    base = Image.open(BytesIO(photo)).convert("RGBA")
    layer = Image.open(BytesIO(heat_map)).resize(base.size, Image.Resampling.BICUBIC)
    buffer = BytesIO()
    Image.alpha_composite(base, layer).convert("RGB").save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
