"""Simulate JPEG compression on a device, by rounding the cosine transform of each block.

The entropy coding is lossless and is left out, so only a few matrix products remain. The tables are
those of the standard (ITU-T T.81, annex K), scaled as libjpeg scales them.
"""

import math

import torch
from torch.nn import functional

_BLOCK = 8
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


def compress(pixels: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Apply the losses of JPEG compression with halved colour resolution.

    Args:
        pixels: RGB 0-255 (n, 3, height, width).
        quality: libjpeg's quality, 1-100, float (n,).

    Returns:
        The same shape and type, not clipped.
    """
    height, width = pixels.shape[2:]
    # Pad to multiples of 16, the size of a block at halved colour resolution.
    padding = (0, -width % (2 * _BLOCK), 0, -height % (2 * _BLOCK))
    red, green, blue = functional.pad(pixels.float(), padding, mode="replicate").unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    colours = torch.stack([(blue - luma) * 0.564, (red - luma) * 0.713], 1)
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality) / 100
    luma = _round(luma[:, None] - 128, scale, _LUMINANCE)[:, 0] + 128
    halved = _round(functional.avg_pool2d(colours, 2), scale, _CHROMINANCE)
    whole = functional.interpolate(halved, scale_factor=2, mode="bilinear", align_corners=False)
    blues, reds = whole.unbind(1)
    restored = (luma + 1.402 * reds, luma - 0.344 * blues - 0.714 * reds, luma + 1.772 * blues)
    return torch.stack(restored, 1)[:, :, :height, :width].to(pixels.dtype)


def _round(
    planes: torch.Tensor, scale: torch.Tensor, table: tuple[tuple[int, ...], ...]
) -> torch.Tensor:
    """Round the cosine transform of each block of the planes (n, c, height, width)."""
    count, channels, height, width = planes.shape
    transform = _cosines(planes.device)
    steps = torch.tensor(table, device=planes.device) * scale[:, None, None]
    steps = steps.clamp(1, 255)[:, None, None, None]
    grid = (count, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    blocks = planes.reshape(grid).transpose(3, 4)
    coefficients = transform @ blocks @ transform.T
    rounded = torch.round(coefficients / steps) * steps
    return (transform.T @ rounded @ transform).transpose(3, 4).reshape(planes.shape)


def _cosines(device: torch.device) -> torch.Tensor:
    """The orthonormal discrete cosine transform of eight values: float32 (8, 8)."""
    place = torch.arange(_BLOCK, dtype=torch.float32, device=device)
    waves = torch.cos((2 * place[None, :] + 1) * place[:, None] * math.pi / (2 * _BLOCK)) / 2
    waves[0] /= math.sqrt(2)
    return waves
