"""Simulate light and camera: change a view's colours; add blur, noise, JPEG and a grey square."""

import math

import torch
from torch.nn import functional

from training.gpu.draws import Draws, true_indices
from training.gpu.jpeg import compress
from training.gpu.recipe import WORKING_SIZE, ViewRanges

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_GREY = 128.0


def change_colours(pixels: torch.Tensor, draws: Draws, ranges: ViewRanges) -> torch.Tensor:
    """Change saturation, brightness, white balance and contrast, and the gamma of some views.

    Args:
        pixels: 0-255 (n, 3, size, size).
        draws: random numbers for the n views.
        ranges: the ranges of the changes.

    Returns:
        The same shape and type, 0-255.
    """
    matrix = _colour_matrix(draws, ranges)
    mean = torch.einsum("nij,nj->ni", matrix, pixels.float().mean((2, 3)))
    mean = mean.to(pixels.dtype)[:, :, None, None]
    changed = torch.einsum("nij,njhw->nihw", matrix.to(pixels.dtype), pixels)
    contrast = draws.uniform(*ranges.contrast).to(pixels.dtype)[:, None, None, None]
    changed = ((changed - mean) * contrast + mean).clamp_(0, 255)
    chosen = true_indices(draws.chance(ranges.gamma_share))
    gamma = torch.exp(draws.uniform(-ranges.gamma, ranges.gamma))[chosen, None, None, None]
    # In float32: with the three digits of float16, the power would cause visible steps in dark
    # skin.
    curved = (changed[chosen].float() / 255).pow(gamma) * 255
    changed[chosen] = curved.to(pixels.dtype)
    return changed


def _colour_matrix(draws: Draws, ranges: ViewRanges) -> torch.Tensor:
    """Saturation around the luma, then a gain for each channel: float32 (n, 3, 3)."""
    keep = draws.uniform(*ranges.saturation)[:, None, None]
    luma = torch.tensor(_LUMA, device=keep.device).expand(3, 3)
    balance = 1 + draws.uniform(-ranges.white_balance, ranges.white_balance, 3)
    gains = draws.uniform(*ranges.gain)[:, None] * balance
    return gains[:, :, None] * (keep * torch.eye(3, device=keep.device) + (1 - keep) * luma)


def add_faults(pixels: torch.Tensor, draws: Draws, ranges: ViewRanges) -> torch.Tensor:
    """Add blur, noise, JPEG compression and a grey square, each to some of the views.

    Args:
        pixels: 0-255 (n, 3, size, size); changed in place.
        draws: random numbers for the n views.
        ranges: the ranges and frequencies of the faults.

    Returns:
        The same tensor, 0-255.
    """
    _blur_some(pixels, draws, ranges)
    chosen = true_indices(draws.chance(ranges.noise))
    deviation = draws.uniform(0, ranges.noise_level)[chosen].to(pixels.dtype)
    noise = draws.noise(pixels[chosen].shape, pixels.dtype)
    pixels[chosen] = pixels[chosen] + noise * deviation[:, None, None, None]
    chosen = true_indices(draws.chance(ranges.jpeg))
    quality = draws.uniform(*ranges.jpeg_quality)[chosen]
    if len(chosen):
        pixels[chosen] = compress(pixels[chosen], quality)
    _cover_squares(pixels, draws, ranges)
    return pixels.clamp_(0, 255)


def _blur_some(pixels: torch.Tensor, draws: Draws, ranges: ViewRanges) -> None:
    drawn = draws.uniform(0, 1)
    # A blur of less than a third of a pixel has no effect.
    scale = max(pixels.shape[-1] / WORKING_SIZE, 0.5)
    start = 0.0
    for share, sigma in ranges.blurs:
        chosen = true_indices((drawn >= start) & (drawn < start + share))
        if len(chosen):
            pixels[chosen] = _blur(pixels[chosen], sigma * scale)
        start += share


def _blur(pixels: torch.Tensor, sigma: float) -> torch.Tensor:
    reach = math.ceil(2.5 * sigma)
    steps = torch.arange(-reach, reach + 1, device=pixels.device, dtype=torch.float32)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(pixels.dtype)
    padded = functional.pad(pixels, (reach,) * 4, mode="reflect")
    across = functional.conv2d(padded, kernel.expand(3, 1, 1, -1), groups=3)
    return functional.conv2d(across, kernel[:, None].expand(3, 1, -1, 1), groups=3)


def _cover_squares(pixels: torch.Tensor, draws: Draws, ranges: ViewRanges) -> None:
    chosen = true_indices(draws.chance(ranges.squares))
    half = draws.uniform(*ranges.square_sides)[chosen, None, None]
    centre = draws.uniform(0, 1, 2)[chosen, :, None]
    size = pixels.shape[-1]
    axis = (torch.arange(size, device=pixels.device) + 0.5) / size
    inside = (axis - centre).abs() < half
    square = inside[:, 0, :, None] & inside[:, 1, None, :]
    pixels[chosen] = pixels[chosen].masked_fill(square[:, None], _GREY)
