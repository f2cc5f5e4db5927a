"""The worker class: gunicorn's threads, with time limits on reading and memory given back."""

import ctypes
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.workers.gthread import TConn, ThreadWorker

from app.server.discard import Discarder
from app.server.reading import TimedReader

_M_ARENA_MAX = -8
"""From malloc.h of glibc."""


@dataclass(frozen=True)
class Unread:
    """A request was answered, and so many bytes of its body were not read."""

    size: int


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

    def run(self) -> None:
        """Serve until the worker is stopped."""
        self._discarder = Discarder(self.poller, self._discarded)
        super().run()

    def notify(self) -> None:
        """The heartbeat: at every event, and every second where there is none."""
        super().notify()
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 1
        self._discarder.close_overdue(stopping=not self.alive)
        if self.answered:
            self.answered = False
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

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool | Unread:
        """In a thread, after an answer: whether the connection can be reused, and after what."""
        body, reader = conn.parser.mesg.body, conn.parser.unreader
        if not keepalive or reader.ended or body.failed:
            return False
        if isinstance(body.reader, ChunkedReader):
            return body.reader.parser is None  # It has come to its end.
        if not isinstance(body.reader, LengthReader):
            return False
        unread, ahead = body.reader.length, reader.take_buffered()
        body.reader.length = 0
        reader.unread(ahead[unread:])
        return Unread(unread - len(ahead)) if unread > len(ahead) else True

    def finish_request(self, conn: TConn, future: "Future[Any]") -> None:
        """In the event loop, after an answer: reuse the connection, or end it.

        gunicorn would wait here, for up to 2 s and with everybody else, until the client ends it.
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
