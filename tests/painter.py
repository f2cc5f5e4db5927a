"""Paint pictures like those that people send; the same seed gives the same picture."""

from io import BytesIO

import numpy as np
from PIL import Image

SKIN = (224, 184, 162)
DARK = (58, 34, 28)
PALE = (176, 128, 104)


def lesion(seed: int = 0, colour: tuple[int, int, int] = DARK, size: int = 640) -> np.ndarray:
    """A spot of one colour with an irregular edge on skin: uint8 (size, size, 3)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size - 0.5
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    waves = sum(random.uniform(0, 0.03) * np.cos(k * angle + random.uniform(0, 6)) for k in (2, 3))
    inside = np.clip((0.25 + waves - radius) * 60, 0, 1)[..., None]
    grain = random.normal(0, 6, (size, size, 1))
    return np.clip(
        inside * np.array(colour) + (1 - inside) * np.array(SKIN) + grain, 0, 255
    ).astype(np.uint8)


def sea(seed: int = 0, size: int = 640) -> np.ndarray:
    """Blue waves: a sharp photo that shows no skin."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    waves = 40 * np.sin(y / 9 + 3 * np.sin(x / 50)) + random.normal(0, 8, (size, size))
    return np.clip(waves[..., None] + np.array((30, 90, 190)), 0, 255).astype(np.uint8)


def night(size: int = 640) -> np.ndarray:
    """A photo taken without light."""
    return np.random.default_rng(0).integers(0, 12, (size, size, 3)).astype(np.uint8)


def encoded(pixels: np.ndarray, kind: str = "JPEG", **options: object) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()
