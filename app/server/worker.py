"""The worker class: gunicorn's threads, with time limits on reading and memory given back."""

import ctypes
import select
import time
from typing import Any

from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

READ_TIMEOUT_SECONDS = 30.0
"""In which a request must have come, headers and body, and a second more for every"""
MIN_BYTES_PER_SECOND = 20_000
"""so many bytes, as with Apache's RequestReadTimeout (deploy/apache/molelens.conf). No client is
ever waited for longer than READ_TIMEOUT_SECONDS from now: what it sent fast buys it no silence
later."""

_M_ARENA_MAX = -8
"""From malloc.h of glibc."""


class TimedReader(SocketUnreader):
    """Reads a request while its client keeps up; then it is as if the client had hung up."""

    max_body_chunk = 2**18  # Of a body, in bytes: as many as the app asks for (app/incoming.py).

    def begin(self) -> None:
        """From now on counts the time of the next request."""
        self._end = time.monotonic() + READ_TIMEOUT_SECONDS

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next piece, b"" when there is none or it is too late."""
        arrival = select.poll()
        arrival.register(self.sock, select.POLLIN)
        left = self._end - time.monotonic()
        if left <= 0 or not arrival.poll(left * 1000):
            return b""
        data: bytes = super().chunk(size_hint)
        earned = self._end + len(data) / MIN_BYTES_PER_SECOND
        self._end = min(earned, time.monotonic() + READ_TIMEOUT_SECONDS)
        return data


class TimedWorker(ThreadWorker):
    """gunicorn's threaded worker, hanging up on clients too slow to be people.

    gunicorn itself would wait for ever on a client that sends a byte now and then, a thread each.
    As many slow clients as there are threads can still hold up the others for
    READ_TIMEOUT_SECONDS; behind Apache (deploy/) they cannot.

    While it serves, it gives back once a second what past photos took: after 32 clients with
    12 megapixels it holds 115 MB (PSS) so, and kept 175 without.
    """

    answered = False  # A request, since memory was given back.
    _next = 0.0

    def notify(self) -> None:
        """The heartbeat: at every event, and every second where there is none."""
        super().notify()
        now = time.monotonic()
        if self.answered and now > self._next:
            self.answered, self._next = False, now + 1
            trim_heap()

    def handle(self, conn: TConn) -> Any:
        """Handle a request of a connection, in a thread."""
        # A client that has sent nothing yet goes back to the loop and costs no thread.
        if conn.initialized or conn.data_ready or conn.wait_for_data(1.0):
            conn.data_ready = True
            conn.init()
            if not isinstance(conn.parser.unreader, TimedReader):
                conn.parser.unreader = TimedReader(conn.sock)
            conn.parser.unreader.begin()
        return super().handle(conn)


def limit_heaps() -> None:
    """Let the threads of this process share two heaps, where glibc would give each its own.

    After 32 clients with 12-megapixel photos, a worker held 160 MB (PSS) so, and 280 MB without.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # Not every C library has heaps to limit.
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)


def trim_heap() -> None:
    """Return freed memory to the system."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own.
    if trim is not None:
        trim(0)
