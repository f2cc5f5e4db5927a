"""A chart of sixteen colours, in any encoding, and LittleCMS's own program to convert colours."""

import shutil
import subprocess
import tempfile

import numpy as np
import pytest
from PIL import Image

SIDE = 256
# Colours of skin, moles, blood and, brighter, clothes.
COLOURS = np.array(
    [
        *((224, 184, 162), (198, 150, 128), (150, 98, 80), (96, 58, 46)),
        *((62, 38, 30), (120, 60, 60), (180, 90, 84), (70, 52, 70)),
        *((174, 106, 123), (170, 77, 102), (77, 123, 196), (78, 113, 116)),
        *((186, 88, 130), (96, 62, 165), (255, 255, 255), (0, 0, 0)),
    ]
)
INKS = np.array(
    [(c, m, y, k) for c in (0, 90) for m in (0, 120) for y in (30, 160) for k in (0, 80)]
)

needs_transicc = pytest.mark.skipif(
    not shutil.which("transicc"), reason="Debian's liblcms2-utils is not installed"
)


def chart(colours: np.ndarray = COLOURS, side: int = SIDE) -> Image.Image:
    """Sixteen patches of (16, channels) colours: grey, RGB, RGB with alpha, or CMYK."""
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[colours.shape[1]]
    patches = colours.astype(np.uint8).reshape(4, 4, -1)
    image = Image.frombytes(mode, (4, 4), patches.tobytes())
    return image.resize((side, side), Image.Resampling.NEAREST)


def patches(pixels: np.ndarray) -> np.ndarray:
    """Mean colours (16, 3) of a decoded chart (500, 500, 3)."""
    middles = [slice(125 * n + 42, 125 * n + 83) for n in range(4)]
    return np.array([pixels[y, x].mean((0, 1)) for y in middles for x in middles])


def by_transicc(profile: bytes, colours: np.ndarray = COLOURS) -> np.ndarray:
    """Colours in a profile as sRGB (n, 3): relative colorimetric, with black point compensation."""
    scale = 100 / 255 if colours.shape[1] == 4 else 1  # transicc expects CMYK in per cent.
    lines = "".join(" ".join(f"{v * scale:.4f}" for v in colour) + "\n" for colour in colours)
    with tempfile.NamedTemporaryFile(suffix=".icc") as file:
        file.write(profile)
        file.flush()
        command = ["transicc", f"-i{file.name}", "-o*sRGB", "-t1", "-b", "-n"]
        run = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    values = np.array([line.split() for line in run.stdout.splitlines()], float)
    return np.clip(values, 0, 255)
