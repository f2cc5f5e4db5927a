"""A bounded number of photos in work and waiting; one more is refused at once, not queued."""

import contextvars
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from app import metrics

NICENESS = 10
"""Of the threads that decode and judge, on Linux, where a thread has its own: while they keep every
core busy, the others still refuse at once. 32 clients with 12 MP had their 503 in 95 ms (p99) so,
and in 142 without; requests/s are the same."""

PATIENCE = 10.0
"""Longest wait for a turn, in seconds; a photo takes well under one second."""

ARRIVAL = 1.0
"""Seconds for which a place is kept for a photo that is still arriving. One that takes longer may
find none in the end: places are not there for slow clients to hold."""

T = TypeVar("T")


class Busy(Exception):
    """No room now. ``retry_after`` is in seconds."""

    retry_after = 5


class Admission:
    """Lets ``at_once`` callers in, keeps ``waiting`` more in line, turns all others away."""

    def __init__(self, at_once: int, waiting: int) -> None:
        # Its queue is the line: who came first is let in first.
        self._threads = ThreadPoolExecutor(at_once, "photo", initializer=_step_back)
        self._places = at_once + waiting
        self._held: dict[object, float] = {}
        self._lock = threading.Lock()

    def expect(self) -> object:
        """Keep a place for a photo that nothing has been read of, so that one too many is not read.

        Returns:
            The place, for ``run`` and ``leave``; after ARRIVAL seconds it may be another's.

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

    def run(self, work: Callable[[], T], place: object | None = None) -> T:
        """Do ``work`` in its turn, on ``place`` where one was kept; what it returns or raises.

        It is done by another thread, with the caller's context (Flask's ``g`` and ``request``).

        Raises:
            Busy: the line is full, or the wait was longer than PATIENCE.
        """
        place = place or object()
        self._hold(place, math.inf)
        try:
            metrics.WAITING.inc()
            turn = self._threads.submit(contextvars.copy_context().run, _in_work, work)
            wait([turn], PATIENCE)
            if turn.cancel():  # It has not begun.
                metrics.WAITING.dec()
                raise Busy
            return turn.result()
        finally:
            self.leave(place)

    def _hold(self, place: object, until: float) -> None:
        with self._lock:
            now = time.monotonic()
            self._held = {kept: end for kept, end in self._held.items() if end > now}
            if place not in self._held and len(self._held) >= self._places:
                raise Busy
            self._held[place] = until


def _in_work(work: Callable[[], T]) -> T:
    metrics.WAITING.dec()
    with metrics.IN_WORK.track_inprogress():
        return work()


def _step_back() -> None:
    if sys.platform == "linux":
        os.nice(NICENESS)  # Of this thread alone.
