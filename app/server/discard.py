"""Discard what a client still sends after the response, on the worker's event loop.

If a server responds early and closes the connection while the client still sends, the kernel resets
the connection, and the browser shows "connection reset" instead of the response. The event loop
reads the rest, because a client that never stops sending would block a thread for ever.
"""

import contextlib
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gunicorn.workers.gthread import TConn

from app.server.reading import READ_TIMEOUT_SECONDS, extended

MAX_BYTES = 1_000_000_000
"""Per connection. A phone's video, chosen by mistake, is rarely larger."""
MAX_SECONDS = 180.0
"""Per connection, as in Apache (RequestReadTimeout in deploy/apache/molelens.conf)."""
MAX_CONNECTIONS = 200
"""Per worker; a further connection closes the oldest."""
STOP_SECONDS = 2.0
"""A stopping worker discards this long."""

_READ_BYTES = 2**18


@dataclass
class _Rest:
    """The rest of a request.

    Attributes:
        bytes_left: number of bytes to discard.
        reusable: whether the connection can be reused afterwards.
        pace_end: when a client that sends too slowly is dropped (time.monotonic).
        end: when any client is dropped (time.monotonic).
    """

    bytes_left: int
    reusable: bool
    pace_end: float
    end: float


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
        """Close connections whose time is over. Call it about once a second."""
        now = time.monotonic()
        for connection, rest in list(self._rests.items()):
            if stopping:
                rest.end = min(rest.end, now + STOP_SECONDS)
            if now > min(rest.end, rest.pace_end):
                self._finish(connection, reusable=False)

    def _discard(self, connection: TConn, _socket: socket.socket) -> None:
        rest = self._rests[connection]
        try:
            data = connection.sock.recv(min(_READ_BYTES, rest.bytes_left))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        rest.bytes_left -= len(data)
        rest.pace_end = extended(rest.pace_end, len(data))
        if not data or rest.bytes_left <= 0:
            self._finish(connection, reusable=bool(data) and rest.reusable)

    def _finish(self, connection: TConn, reusable: bool) -> None:
        del self._rests[connection]
        with contextlib.suppress(KeyError, OSError, ValueError):  # It may not be registered.
            self._poller.unregister(connection.sock)
        self._done(connection, reusable)
