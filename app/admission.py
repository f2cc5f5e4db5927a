"""A bounded number of photos in work and waiting; one more is refused at once, not queued."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app import metrics

PATIENCE = 10.0
"""Longest wait for a turn, in seconds; a photo takes well under one second."""


class Busy(Exception):
    """No room now. ``retry_after`` is in seconds."""

    retry_after = 5


class Admission:
    """Lets ``at_once`` callers in, keeps ``waiting`` more in line, turns all others away."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._turns = threading.Semaphore(at_once)
        self._places = threading.Semaphore(at_once + waiting)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold a turn for the length of a ``with`` block.

        Raises:
            Busy: the line is full, or the wait was longer than PATIENCE.
        """
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            with metrics.WAITING.track_inprogress():
                if not self._turns.acquire(timeout=PATIENCE):
                    raise Busy
            try:
                with metrics.IN_WORK.track_inprogress():
                    yield
            finally:
                self._turns.release()
        finally:
            self._places.release()
