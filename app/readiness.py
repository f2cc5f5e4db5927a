"""Does the model still give its known answer to the golden image?

The known answer is the one at the start, whatever the model: the engine checks its copy of the
network against Keras and its checksums before that. A later change, a NaN or a broken heat map is
seen.
"""

import math
import threading
import time

import numpy as np

from app import golden
from app.settings import StartError
from lens.engine import Engine, EngineError

TOLERANCE = 5e-3
"""Largest difference from the known answer; bf16 differs from float32 by about 1e-4."""

FRESH = 1.0
"""Seconds for which an answer is reused, so that probes cannot load the machine."""


class NotReady(Exception):
    """The golden image's answer is wrong; no verdict should be trusted."""


class Readiness:
    """Knows the right answer and asks the engine again when asked."""

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
        """The engine's answer now, as p(malignant) in [0, 1].

        Raises:
            NotReady: it is not the known answer.
        """
        with self._lock:
            if time.monotonic() - self._checked > FRESH:
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
