"""Discard what a client still sends after the response, on the worker's event loop.

If a server responds early and closes the connection while the client is sending, the kernel resets
the connection, and the browser shows "connection reset" instead of the response. The event loop
reads the rest, because a client that never stops sending would block a thread forever.
"""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gunicorn.workers.gthread import TConn

from app.server.reading import READ_TIMEOUT_SECONDS, extended_deadline

MAX_BYTES = 1_000_000_000
"""Per connection. A video from a phone, chosen by mistake, is rarely larger."""
MAX_SECONDS = 180.0
"""Per connection, as in Apache (RequestReadTimeout in deploy/apache/molelens.conf)."""
MAX_CONNECTIONS = 200
"""Per worker; a further connection closes the oldest."""
STOP_SECONDS = 2.0
"""How long a stopping worker still discards."""

_READ_BYTES = 2**18


@dataclass
class _Rest:
    """The rest of a request, which is still to be discarded.

    Attributes:
        bytes_left: number of bytes to discard.
        reusable: whether the connection can be reused afterwards.
        slow_deadline: when the connection is closed if the client sends too slowly; it moves as
            bytes arrive (time.monotonic).
        deadline: when the connection is closed in any case (time.monotonic).
    """

    bytes_left: int
    reusable: bool
    slow_deadline: float
    deadline: float


class Discarder:
    """Discards the rest of requests, then calls ``done`` with the connection and ``reusable``."""

    def __init__(self, poller: selectors.BaseSelector, done: Callable[[TConn, bool], None]) -> None:
        self._poller = poller
        self._done = done
        self._rests: dict[TConn, _Rest] = {}

    def add(self, connection: TConn, unread: int | None) -> None:
        """Discard ``unread`` bytes and keep the connection; if None, discard all and close it."""
        if len(self._rests) >= MAX_CONNECTIONS:
            self._finish(next(iter(self._rests)), reusable=False)
        now = time.monotonic()
        reusable = unread is not None and unread <= MAX_BYTES
        self._rests[connection] = _Rest(
            unread if unread is not None and reusable else MAX_BYTES,
            reusable,
            now + READ_TIMEOUT_SECONDS,
            now + MAX_SECONDS,
        )
        try:
            connection.sock.setblocking(False)
            self._poller.register(
                connection.sock, selectors.EVENT_READ, partial(self._discard, connection)
            )
            if not reusable:
                connection.sock.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):  # The client or gunicorn has closed the connection.
            self._finish(connection, reusable=False)

    def close_overdue(self, stopping: bool) -> None:
        """Close connections whose deadline has passed. Call it about once a second."""
        now = time.monotonic()
        for connection, rest in list(self._rests.items()):
            if stopping:
                rest.deadline = min(rest.deadline, now + STOP_SECONDS)
            if now > min(rest.deadline, rest.slow_deadline):
                self._finish(connection, reusable=False)

    def _discard(self, connection: TConn, _socket: socket.socket) -> None:
        rest = self._rests.get(connection)
        if rest is None:  # Closed by an earlier event of the same poll.
            return
        try:
            data = connection.sock.recv(min(_READ_BYTES, rest.bytes_left))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        rest.bytes_left -= len(data)
        rest.slow_deadline = extended_deadline(rest.slow_deadline, len(data))
        if not data or rest.bytes_left <= 0:
            self._finish(connection, reusable=bool(data) and rest.reusable)

    def _finish(self, connection: TConn, reusable: bool) -> None:
        del self._rests[connection]
        with contextlib.suppress(KeyError, OSError, ValueError):  # It may not be registered.
            self._poller.unregister(connection.sock)
        self._done(connection, reusable)
