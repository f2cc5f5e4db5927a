"""Check that the model still gives the same answer for the golden image, and that results are kept.

The answer at startup is the expected one: by then the engine has checked its copy of the network by
checksum and against Keras. Any later change, NaN, or a heat map that is not finite is an error.
"""

import math
import threading
import time

import numpy as np

from app.results import Results
from app.settings import StartError
from lens.arrays import Pixels
from lens.engine import Engine, EngineError
from lens.images import SIZE

TOLERANCE = 5e-3
"""Allowed difference of the probability; an undamaged engine repeats its answer to 1e-6."""

MIN_CHECK_INTERVAL_SECONDS = 1.0
"""Until then, checks repeat the last answer, so that frequent health checks cost little."""


class NotReady(Exception):
    """The answer for the golden image is wrong, so no verdict can be trusted."""


class Readiness:
    """Compares the answer for the golden image with the expected one, and tests the store."""

    def __init__(self, engine: Engine, results: Results) -> None:
        self._engine = engine
        self._results = results
        self._lock = threading.Lock()
        self._checked = -math.inf
        try:
            self.expected = self._run_golden_image()
            self._compare(self.expected)
        except NotReady as error:
            raise StartError(f"The model fails its test image: {error}.") from error

    def check(self) -> float:
        """The engine's current p(malignant) for the golden image.

        Raises:
            NotReady: it is not the expected answer.
            StoreUnavailable: results cannot be kept.
        """
        with self._lock:
            if time.monotonic() - self._checked > MIN_CHECK_INTERVAL_SECONDS:
                self._answer = self._run_golden_image()
                self._compare(self._answer)
                self._results.check()
                self._checked = time.monotonic()
            return self._answer

    def _run_golden_image(self) -> float:
        try:
            outputs = self._engine.run(golden_image()[np.newaxis])
        except EngineError as error:
            raise NotReady(str(error)) from error
        if outputs.heat_map is not None and not np.isfinite(outputs.heat_map).all():
            raise NotReady("its heat map is not finite")
        return float(np.asarray(outputs.malignant).reshape(-1)[0])

    def _compare(self, answer: float) -> None:
        if not 0.0 <= answer <= 1.0:  # NaN fails this too.
            raise NotReady(f"expected a probability, got {answer}")
        if abs(answer - self.expected) > TOLERANCE:
            raise NotReady(f"expected {self.expected:.4f}, got {answer:.4f}")


def golden_image() -> Pixels:
    """A synthetic lesion, a dark, uneven spot on pale skin, uint8 (500, 500, 3).

    Integer arithmetic gives the same pixels on every machine.
    """
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.int64)
    dx, dy = x - 250, y - 240
    distance = dx * dx + dy * dy + dx * dy // 3
    grain = (x * 7919 + y * 104_729) % 13 - 6
    skin = np.stack([226 + grain, 186 + grain, 164 + grain], axis=-1)
    spot = np.stack([84 + x // 8 + grain, 52 + x // 14 + grain, 40 + y // 20 + grain], axis=-1)
    # 4,000 inside the spot, 0 outside it, with a soft edge of a few pixels.
    weight = np.clip(18_000 + 40 * grain - distance, 0, 4_000)[..., None]
    return ((spot * weight + skin * (4_000 - weight)) // 4_000).astype(np.uint8)
