"""Paint things that often surround a lesion in a photo: dermatoscope frames, rulers, hairs, ink.

In some data sets these are more common around malignant lesions. Painting them on both classes with
the same probability makes them less informative.
"""

import cv2
import numpy as np
import torch
from torch.nn import functional

from training.gpu.draws import Draws, true_indices
from training.gpu.photos import precision
from training.gpu.recipe import WORKING_SIZE, ViewRanges

_PICTURES = 192  # Number of different pictures of rulers, hairs and ink.
_FRAME_LEVEL = 8.0  # Grey level of a dermatoscope's dark frame.


class Marks:
    """Paints frames, vignettes, and pictures of rulers, hairs or ink."""

    def __init__(self, device: torch.device, ranges: ViewRanges) -> None:
        self._ranges = ranges
        rng = np.random.default_rng(0)
        painters = (_ruler, _hairs, _hairs, _ink)
        made = [painters[number % len(painters)](rng) for number in range(_PICTURES)]
        self._opacity = torch.from_numpy(np.stack([opacity for opacity, _ in made])).to(device)
        colours = torch.tensor(np.stack([colour for _, colour in made]), dtype=precision(device))
        self._colours = colours.to(device)

    def __call__(self, pixels: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Paint on some of the views (n, 3, size, size), in place; return them."""
        ranges, size = self._ranges, pixels.shape[-1]
        axis = torch.linspace(-1, 1, size, device=pixels.device)
        drawn = draws.uniform(0, 1)
        framed = drawn < ranges.dark_frames
        _frames(pixels, axis, true_indices(framed), draws)
        vignetted = ~framed & (drawn < ranges.dark_frames + ranges.vignettes)
        _vignettes(pixels, axis, true_indices(vignetted), draws)
        picture = draws.integers(len(self._opacity))
        chosen = true_indices(draws.chance(ranges.overlays))
        if len(chosen):
            opacity = self._opacity[picture[chosen]].to(pixels.dtype)[:, None] / 255
            opacity = functional.interpolate(opacity, size=(size, size), mode="area")
            colour = self._colours[picture[chosen]][:, :, None, None]
            pixels[chosen] = pixels[chosen] * (1 - opacity) + colour * opacity
        return pixels


def _frames(pixels: torch.Tensor, axis: torch.Tensor, chosen: torch.Tensor, draws: Draws) -> None:
    radius = draws.uniform(0.85, 1.35)[chosen, None, None]
    softness = draws.uniform(0.004, 0.034)[chosen, None, None]
    distance = _squared_distance(axis, chosen, draws).sqrt()
    visible = torch.sigmoid((radius - distance) / softness).to(pixels.dtype)[:, None]
    pixels[chosen] = pixels[chosen] * visible + _FRAME_LEVEL * (1 - visible)


def _vignettes(
    pixels: torch.Tensor, axis: torch.Tensor, chosen: torch.Tensor, draws: Draws
) -> None:
    strength = draws.uniform(0.3, 0.8)[chosen, None, None]
    light = 1 - strength * (_squared_distance(axis, chosen, draws) / 2).clamp(0, 1)
    pixels[chosen] = pixels[chosen] * light.to(pixels.dtype)[:, None]


def _squared_distance(axis: torch.Tensor, chosen: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Squared distance of each pixel from a random centre: float32 (len(chosen), size, size)."""
    centre = draws.uniform(-0.15, 0.15, 2)[chosen]
    across = (axis[None, None, :] - centre[:, 0, None, None]) ** 2
    return across + (axis[None, :, None] - centre[:, 1, None, None]) ** 2


Picture = tuple[np.ndarray, np.ndarray]
"""Opacity, uint8 (500, 500), and colour, float (3,)."""


def _ruler(rng: np.random.Generator) -> Picture:
    opacity = _blank()
    angle, offset, step = rng.uniform(0, 2 * np.pi), rng.uniform(-220, 220), rng.uniform(12, 32)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    for tick in range(-25, 26):
        length = 24 if tick % 5 == 0 else rng.choice([10, 10, 10, 18])
        start = WORKING_SIZE / 2 + across * offset + along * tick * step
        ends = np.array([start, start + across * length]).astype(np.int32)
        cv2.polylines(opacity, [ends], False, 255, int(rng.integers(1, 3)), cv2.LINE_AA)
    return opacity, np.full(3, rng.uniform(10, 70))


def _hairs(rng: np.random.Generator) -> Picture:
    opacity = _blank()
    for _ in range(int(rng.integers(3, 26))):
        angles = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.02) * np.arange(1, 41)
        steps = 14 * np.stack([np.cos(angles), np.sin(angles)], 1)
        points = rng.uniform(-60, 560, 2) + np.cumsum(steps, 0)
        darkness, width = int(rng.integers(150, 256)), int(rng.integers(1, 4))
        cv2.polylines(opacity, [points.astype(np.int32)], False, darkness, width, cv2.LINE_AA)
    dark = rng.random() < 0.8
    colour = rng.uniform(10, 60) * np.array([1, 0.8, 0.7]) if dark else np.array([190, 160, 120])
    return opacity, colour


def _ink(rng: np.random.Generator) -> Picture:
    """A line drawn with a surgical marker around part of the lesion."""
    opacity = _blank()
    angles = np.linspace(0, 2 * np.pi * rng.uniform(0.3, 1), 40)
    radius = rng.uniform(110, 240) * (1 + 0.027 * rng.normal(size=40))
    circle = np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None]
    points = WORKING_SIZE / 2 + circle + rng.normal(0, 3, (40, 1))
    darkness, width = int(rng.integers(90, 220)), int(rng.integers(3, 10))
    cv2.polylines(opacity, [points.astype(np.int32)], False, darkness, width, cv2.LINE_AA)
    return opacity, np.array([70, 40, 130]) + rng.normal(0, 15, 3)


def _blank() -> np.ndarray:
    return np.zeros((WORKING_SIZE, WORKING_SIZE), np.uint8)
