"""Check that the model still gives the same answer for the golden image.

The expected answer is the one at the start, when the engine has checked its copy of the network by
checksum and against Keras. Later changes, NaN and broken heat maps are detected.
"""

import math
import threading
import time

import numpy as np

from app import golden
from app.settings import StartError
from lens.engine import Engine, EngineError

TOLERANCE = 5e-3
"""Allowed difference of the probability; bf16 differs from float32 by about 1e-4."""

MIN_CHECK_INTERVAL_SECONDS = 1.0
"""An answer is reused this long, so that frequent health checks cost little."""


class NotReady(Exception):
    """The answer for the golden image is wrong, so no verdict can be trusted."""


class Readiness:
    """Compares the engine's answer for the golden image with the expected one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._checked = -math.inf
        try:
            self.known = self._ask()
            self._compare(self.known)
        except NotReady as error:
            raise StartError(f"The model fails its test image: {error}.") from error

    def check(self) -> float:
        """The engine's current p(malignant) for the golden image.

        Raises:
            NotReady: it is not the expected answer.
        """
        with self._lock:
            if time.monotonic() - self._checked > MIN_CHECK_INTERVAL_SECONDS:
                self._answer = self._ask()
                self._compare(self._answer)
                self._checked = time.monotonic()
            return self._answer

    def _ask(self) -> float:
        try:
            outputs = self._engine.run(golden.lesion()[np.newaxis])
        except EngineError as error:
            raise NotReady(str(error)) from error
        if outputs.heat_map is not None and not np.isfinite(outputs.heat_map).all():
            raise NotReady("its heat map is not finite")
        return float(np.asarray(outputs.malignant).reshape(-1)[0])

    def _compare(self, answer: float) -> None:
        if not 0.0 <= answer <= 1.0:  # NaN fails this too.
            raise NotReady(f"expected a probability, got {answer}")
        if abs(answer - self.known) > TOLERANCE:
            raise NotReady(f"expected {self.known:.4f}, got {answer:.4f}")
