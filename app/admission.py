"""Limit how many photos are processed and queued; refuse further ones immediately."""

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
"""Niceness of the threads that process photos, on Linux, where each thread has its own. While they
keep all cores busy, other threads still refuse requests quickly (bench/README.md has the figures).
With a higher value, they would get less than a quarter of a core that other processes use, too."""

MAX_QUEUE_SECONDS = 10.0
"""Longest wait of a photo in the queue; processing one takes well under a second."""

RESERVATION_SECONDS = 1.0
"""How long a place is reserved for a photo that is still being uploaded. After that, other photos
may take the place, so that slow clients cannot block it."""

T = TypeVar("T")


class Busy(Exception):
    """All places are taken. ``retry_after`` is in seconds."""

    retry_after = 5


class Admission:
    """Places for ``at_once`` photos in progress and ``waiting`` queued ones; others are refused."""

    def __init__(self, at_once: int, waiting: int) -> None:
        # The executor's queue is first in, first out.
        self._threads = ThreadPoolExecutor(at_once, "photo", initializer=_lower_priority)
        self._places = at_once + waiting
        self._taken: dict[object, float] = {}  # Each place, and when it expires.
        self._lock = threading.Lock()

    def reserve(self) -> object:
        """Reserve a place for a photo before it is uploaded.

        Returns:
            The place, for ``run`` and ``release``. It is reserved for RESERVATION_SECONDS.

        Raises:
            Busy: all places are taken.
        """
        place = object()
        self._take(place, time.monotonic() + RESERVATION_SECONDS)
        return place

    def release(self, place: object) -> None:
        """Free a place if it is still taken."""
        with self._lock:
            self._taken.pop(place, None)

    def run(self, work: Callable[[], T], place: object | None = None) -> T:
        """Wait for a thread and run ``work`` in it, with the caller's context (Flask's ``g``).

        Args:
            work: its result is returned, its exceptions are raised.
            place: a reserved place; without one, a free place is taken.

        Raises:
            Busy: all places are taken, or no thread was free for MAX_QUEUE_SECONDS.
        """
        place = place or object()
        self._take(place, math.inf)
        try:
            return self._queue(work)
        finally:
            self.release(place)

    def _queue(self, work: Callable[[], T]) -> T:
        job = [work, contextvars.copy_context()]
        metrics.WAITING.inc()
        try:
            future = self._threads.submit(_start, job)
        except RuntimeError:
            # This process is stopping, or cannot start a thread. An admitted photo is still judged,
            # in the caller's thread. The executor may have queued the job nevertheless, so that one
            # is emptied.
            own_job = job[:]
            job.clear()
            return _start(own_job)
        wait([future], MAX_QUEUE_SECONDS)
        if future.cancel():  # It had not started. Emptying the job frees its photo.
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

    def _take(self, place: object, expiry: float) -> None:
        with self._lock:
            now = time.monotonic()
            self._taken = {each: end for each, end in self._taken.items() if end > now}
            if place not in self._taken and len(self._taken) >= self._places:
                raise Busy
            self._taken[place] = expiry


def _start(job: list[Any]) -> Any:
    work, context = job
    metrics.WAITING.dec()
    with metrics.IN_WORK.track_inprogress():
        return context.run(work)


def _lower_priority() -> None:
    # On Linux this affects only the current thread. If a sandbox forbids it, that is no error.
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.nice(THREAD_NICENESS)
