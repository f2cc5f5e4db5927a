"""A synthetic lesion, identical on every machine, to test whether the model still works."""

import numpy as np

from lens import images


def lesion() -> np.ndarray:
    """A dark, uneven spot on pale skin, uint8 (500, 500, 3).

    Integer arithmetic gives the same pixels on every machine.
    """
    y, x = np.mgrid[: images.SIZE, : images.SIZE].astype(np.int64)
    dx, dy = x - 250, y - 240
    distance = dx * dx + dy * dy + dx * dy // 3
    grain = (x * 7919 + y * 104_729) % 13 - 6
    skin = np.stack([226 + grain, 186 + grain, 164 + grain], axis=-1)
    spot = np.stack([84 + x // 8 + grain, 52 + x // 14 + grain, 40 + y // 20 + grain], axis=-1)
    # 4,000 inside the spot, 0 outside it, with a soft edge of a few pixels.
    share = np.clip(18_000 + 40 * grain - distance, 0, 4_000)[..., None]
    return ((spot * share + skin * (4_000 - share)) // 4_000).astype(np.uint8)
