"""Limit how many photos are processed and wait at once; refuse further ones immediately."""

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

THREAD_NICENESS = 5
"""Of the threads that process photos, on Linux, where each thread has its own niceness. While these
keep all cores busy, other threads still refuse requests at once (bench/README.md has the figures).
With a higher value, they would get less than a quarter of a core that other processes use too."""

MAX_QUEUE_SECONDS = 10.0
"""A photo waits this long at most; processing one takes well under a second."""

RESERVATION_SECONDS = 1.0
"""A place is reserved this long for a photo that is still being uploaded. After that, other photos
may take the place, so that slow clients cannot block it."""

T = TypeVar("T")


class Busy(Exception):
    """There is no room now. ``retry_after`` is in seconds."""

    retry_after = 5


class Admission:
    """A queue for ``at_once`` photos in work and ``waiting`` more; further ones are refused."""

    def __init__(self, at_once: int, waiting: int) -> None:
        # The executor's queue is first in, first out.
        self._threads = ThreadPoolExecutor(at_once, "photo", initializer=_lower_priority)
        self._places = at_once + waiting
        self._held: dict[object, float] = {}
        self._lock = threading.Lock()

    def expect(self) -> object:
        """Reserve a place for a photo before it is uploaded.

        Returns:
            The place, for ``run`` and ``leave``. It is reserved for RESERVATION_SECONDS.

        Raises:
            Busy: all places are taken.
        """
        place = object()
        self._hold(place, time.monotonic() + RESERVATION_SECONDS)
        return place

    def leave(self, place: object) -> None:
        """Give a place back if it is still held."""
        with self._lock:
            self._held.pop(place, None)

    def run(self, work: Callable[[], T], place: object | None = None) -> T:
        """Wait for a thread and run ``work`` in it, with the caller's context (Flask's ``g``).

        Args:
            work: its result is returned, its exceptions are raised.
            place: a reserved place.

        Raises:
            Busy: all places are taken, or no thread was free for MAX_QUEUE_SECONDS.
        """
        place = place or object()
        self._hold(place, math.inf)
        try:
            return self._queue(work)
        finally:
            self.leave(place)

    def _queue(self, work: Callable[[], T]) -> T:
        job = [work, contextvars.copy_context()]
        metrics.WAITING.inc()
        try:
            future = self._threads.submit(_start, job)
        except RuntimeError:
            # This process is ending, or cannot start a thread. An admitted photo is still judged,
            # in the caller's thread. The job may be queued all the same, so the queued one is
            # emptied.
            own_job = job[:]
            job.clear()
            return _start(own_job)
        wait([future], MAX_QUEUE_SECONDS)
        if future.cancel():  # It has not started. Emptying the job frees its photo.
            job.clear()
            metrics.WAITING.dec()
            raise Busy
        try:
            return future.result()
        finally:
            # An exception's traceback holds this frame, which holds the future, which holds the
            # exception. Without this, a damaged photo of 160 MB would stay in memory until the
            # garbage collector runs.
            del future

    def _hold(self, place: object, until: float) -> None:
        with self._lock:
            now = time.monotonic()
            self._held = {held: end for held, end in self._held.items() if end > now}
            if place not in self._held and len(self._held) >= self._places:
                raise Busy
            self._held[place] = until


def _start(job: list[Any]) -> Any:
    work, context = job
    metrics.WAITING.dec()
    with metrics.IN_WORK.track_inprogress():
        return context.run(work)


def _lower_priority() -> None:
    # On Linux this changes the current thread only. A sandbox may forbid it, which is no error.
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.nice(THREAD_NICENESS)
