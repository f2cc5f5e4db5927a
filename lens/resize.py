"""Resize a decoded photo to the network's input: RGB, 500 x 500."""

import math

import numpy as np
from PIL import Image

from lens.colour import Conversion

try:
    from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
except ImportError:  # Linux on ARM has no wheel (4.0.1).
    Resizer = None

SIZE = 500
"""Side of the network's input in pixels, as in the paper."""

_REDUCING_GAP = 3.0
"""First, blocks of pixels are averaged, down to this many times the target size, as in Pillow."""

_STRIP_PIXELS = 1_000_000


def to_input_size(image: Image.Image, to_srgb: Conversion | None) -> Image.Image:
    """Convert an image of any mode and size to RGB, 500 x 500."""
    # Blending with white, and averaging pixels in linear light, are correct only in sRGB.
    needs_srgb = to_srgb and (to_srgb.before_resizing or image.has_transparency_data)
    first = to_srgb if needs_srgb else None
    across, down = (int(side / SIZE / _REDUCING_GAP) or 1 for side in image.size)
    if image.mode != "RGB" or image.has_transparency_data or first:
        reduced = _reduced_in_strips(image, across, down, first)
    else:  # Most photos need no conversion, which avoids copies of 3 MB.
        reduced = image if (across, down) == (1, 1) else image.reduce((across, down))
    small = to_square(reduced, (image.width / across, image.height / down))
    return to_srgb(small) if to_srgb and not first else small


def _reduced_in_strips(
    image: Image.Image, across: int, down: int, to_srgb: Conversion | None
) -> Image.Image:
    """Convert to RGB and average blocks. A copy of a whole photo would take up to 160 MB."""
    width, height = image.size
    small = Image.new("RGB", (math.ceil(width / across), math.ceil(height / down)))
    rows = down * max(1, _STRIP_PIXELS // (width * down))
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        small.paste(to_rgb(strip, to_srgb).reduce((across, down)), (0, top // down))
    return small


def to_rgb(image: Image.Image, to_srgb: Conversion | None = None) -> Image.Image:
    """Convert an image of any mode to RGB, with transparent parts blended with white.

    Args:
        image: any mode.
        to_srgb: applied before blending.
    """
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit greys at 255; 65535 / 257 is 255.
        greys, transparent = np.asarray(image), image.info.get("transparency")
        image = Image.fromarray((greys // 257).astype(np.uint8))
        if transparent is not None:
            image.putalpha(Image.fromarray(np.where(greys == transparent, 0, 255).astype(np.uint8)))
    if image.mode == "CMYK" and to_srgb:
        return to_srgb(image)
    if not image.has_transparency_data:
        rgb = image.convert("RGB")
        return to_srgb(rgb) if to_srgb else rgb
    layer = image.convert("RGBA")
    if to_srgb:
        opaque = to_srgb(layer.convert("RGB"))
        opaque.putalpha(layer.getchannel("A"))
        layer = opaque
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def to_square(image: Image.Image, part: tuple[float, float]) -> Image.Image:
    """Resize with bicubic antialiasing, 5 to 10 times as fast as Pillow (bench/README.md).

    The result is bit-identical with AVX2, with SSE 4.1 and without either. Without cykooz-resizer,
    Pillow resizes; its result differs by at most 4 grey levels, 0.2 on average.

    Args:
        image: RGB of any size.
        part: width and height of the part to resize, from the top left corner.

    Returns:
        RGB, 500 x 500; the aspect ratio is not kept.
    """
    if Resizer is None:
        return image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, (0, 0, *part))
    small = Image.new("RGB", (SIZE, SIZE))
    bicubic = ResizeAlg.convolution(FilterType.catmull_rom)
    # Threads cannot share a resizer; creating one takes 0.4 microseconds.
    Resizer().resize_pil(image, small, ResizeOptions(bicubic, crop_box=CropBox(0, 0, *part)))
    return small
