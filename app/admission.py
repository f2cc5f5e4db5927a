"""A bounded number of photos in work and waiting; one more is refused at once, not queued."""

import contextlib
import contextvars
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

from app import metrics

NICENESS = 5
"""Of the threads that decode and judge, on Linux, where a thread has its own: while they keep every
core busy, the others still refuse at once (bench/README.md has the figures). More would leave
judging less than a quarter of a core that others want too."""

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
            return self._in_turn(work)
        finally:
            self.leave(place)

    def _in_turn(self, work: Callable[[], T]) -> T:
        job = [work, contextvars.copy_context()]
        metrics.WAITING.inc()
        try:
            turn = self._threads.submit(_begin, job)
        except RuntimeError:
            # This process ends, or has no room for a thread; who has been let in is still answered.
            # The job may stand in the line all the same: emptied, nobody does it again.
            mine = job[:]
            job.clear()
            return _begin(mine)
        wait([turn], PATIENCE)
        if turn.cancel():  # It has not begun, but its photo would stay in the line.
            job.clear()
            metrics.WAITING.dec()
            raise Busy
        try:
            return turn.result()
        finally:
            # An error's traceback holds this frame, and the turn the error: left so, a damaged
            # photo of 160 MB would stay until the garbage collector comes by.
            del turn

    def _hold(self, place: object, until: float) -> None:
        with self._lock:
            now = time.monotonic()
            self._held = {kept: end for kept, end in self._held.items() if end > now}
            if place not in self._held and len(self._held) >= self._places:
                raise Busy
            self._held[place] = until


def _begin(job: list[Any]) -> Any:
    work, context = job
    metrics.WAITING.dec()
    with metrics.IN_WORK.track_inprogress():
        return context.run(work)


def _step_back() -> None:
    # Of this thread alone, and no reason to fail where a sandbox forbids it.
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.nice(NICENESS)
