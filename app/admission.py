"""A bounded number of photos in work and waiting; one more is refused at once, not queued."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app import metrics

PATIENCE = 10.0
"""Longest wait for a turn, in seconds; a photo takes well under one second."""

ARRIVAL = 1.0
"""Seconds for which a place is kept for a photo that is still arriving. One that takes longer may
find none in the end: places are not there for slow clients to hold."""


class Busy(Exception):
    """No room now. ``retry_after`` is in seconds."""

    retry_after = 5


class Admission:
    """Lets ``at_once`` callers in, keeps ``waiting`` more in line, turns all others away."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._turns = threading.Semaphore(at_once)
        self._places = at_once + waiting
        self._held: dict[object, float] = {}
        self._lock = threading.Lock()

    def expect(self) -> object:
        """Keep a place for a photo that nothing has been read of, so that one too many is not read.

        Returns:
            The place, for ``turn`` and ``leave``; after ARRIVAL seconds it may be another's.

        Raises:
            Busy: all places are taken.
        """
        place = object()
        self._hold(place, time.monotonic() + ARRIVAL)
        return place

    def leave(self, place: object) -> None:
        """Give a place back, if it is still held."""
        with self._lock:
            self._held.pop(place, None)

    @contextmanager
    def turn(self, place: object | None = None) -> Iterator[None]:
        """Hold a turn for the length of a ``with`` block; on ``place``, where one was kept.

        Raises:
            Busy: the line is full, or the wait was longer than PATIENCE.
        """
        place = place or object()
        self._hold(place, math.inf)
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
            self.leave(place)

    def _hold(self, place: object, until: float) -> None:
        with self._lock:
            now = time.monotonic()
            self._held = {kept: end for kept, end in self._held.items() if end > now}
            if place not in self._held and len(self._held) >= self._places:
                raise Busy
            self._held[place] = until
