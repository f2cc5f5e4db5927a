"""The worker class: gunicorn's threaded worker, with read timeouts and lower memory use."""

import ctypes
import signal
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.workers.gthread import TConn, ThreadWorker

from app.server.discard import Discarder
from app.server.reading import TimedReader

_M_ARENA_MAX = -8
"""From glibc's malloc.h."""


@dataclass(frozen=True)
class Unread:
    """A request was answered before the last ``size`` bytes of its body were read."""

    size: int


class TimedWorker(ThreadWorker):
    """gunicorn's threaded worker, which also disconnects slow clients and frees memory.

    gunicorn waits without limit for a slow client, which blocks a thread. Here, slow clients can
    still block the others for READ_TIMEOUT_SECONDS if there are as many as threads, unless Apache
    is in front (deploy/).

    The worker returns freed memory to the system once a second. After 32 clients with 12-megapixel
    photos it uses 115 MB (PSS) instead of 175.
    """

    answered = False  # Whether a request was answered since memory was last freed.
    _next_housekeeping = 0.0

    def init_signals(self) -> None:
        """Let SIGABRT end the process, so that ``app.server.failed_starts`` can report it."""
        super().init_signals()
        signal.signal(signal.SIGABRT, signal.SIG_DFL)

    def run(self) -> None:
        """Serve until the worker is stopped."""
        self._discarder = Discarder(self.poller, self._discarded)
        super().run()

    def notify(self) -> None:
        """Run after every event, and at least every second."""
        super().notify()
        now = time.monotonic()
        if now < self._next_housekeeping:
            return
        self._next_housekeeping = now + 1
        self._discarder.close_overdue(stopping=not self.alive)
        if self.answered:
            self.answered = False
            trim_heap()

    def handle(self, conn: TConn) -> Any:
        """Handle a request in a thread."""
        # A connection on which nothing has arrived goes back to the event loop.
        if conn.initialized or conn.data_ready or conn.wait_for_data(1.0):
            conn.data_ready = True
            conn.init()
            if not isinstance(conn.parser.unreader, TimedReader):
                conn.parser.unreader = TimedReader(conn.sock)
            conn.parser.unreader.begin()
        return super().handle(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a malformed request without logging the client's address."""
        super().handle_error(req, client, ("", 0), exc)

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool | Unread:
        """In a thread, after a response: whether the connection can be reused, now or later."""
        body, reader = conn.parser.mesg.body, conn.parser.unreader
        if not keepalive or reader.ended or body.failed:
            return False
        if isinstance(body.reader, ChunkedReader):
            return body.reader.parser is None  # None at the end of the body.
        if not isinstance(body.reader, LengthReader):
            return False
        unread, ahead = body.reader.length, reader.take_buffered()
        body.reader.length = 0
        reader.unread(ahead[unread:])
        return Unread(unread - len(ahead)) if unread > len(ahead) else True

    def finish_request(self, conn: TConn, future: "Future[Any]") -> None:
        """In the event loop, after a response: reuse the connection or close it.

        gunicorn would block the event loop for up to 2 s, until the client closes the connection.
        """
        result = None if future.cancelled() or future.exception() else future.result()
        if result is not False and not isinstance(result, Unread):
            super().finish_request(conn, future)
            return
        self._discarder.add(conn, result.size if result else None)

    def _discarded(self, conn: TConn, reusable: bool) -> None:
        if reusable:
            answered: Future[bool] = Future()
            answered.set_result(True)
            super().finish_request(conn, answered)
        else:
            self.nr_conns -= 1
            conn.close()


def limit_heaps() -> None:
    """Let the threads of this process share two heaps; glibc would give each thread its own.

    After 32 clients with 12-megapixel photos, a worker used 160 MB (PSS) instead of 280.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # Only glibc has it.
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)


def trim_heap() -> None:
    """Return freed memory to the system."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # Only glibc has it.
    if trim is not None:
        trim(0)
