"""Discard what a client still sends after its answer, on the worker's event loop.

A server that answers early and closes while the client still sends makes the kernel reset the
connection: the browser then shows "connection reset" instead of the answer. A thread that reads the
rest away would be held by whoever never stops sending, so the event loop does it.
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
"""Of one connection. A phone's video, chosen by mistake, is rarely larger."""
MAX_SECONDS = 180.0
"""As long as Apache lets a body take (RequestReadTimeout in deploy/apache/molelens.conf)."""
MAX_CONNECTIONS = 200
"""Of one worker; one more closes the oldest."""
STOP_SECONDS = 2.0
"""How long a worker that stops still discards."""

_READ_BYTES = 2**18


@dataclass
class _Rest:
    """What may still come: so many bytes, until one of these times (time.monotonic)."""

    bytes_left: int
    reusable: bool
    pace_end: float
    end: float


class Discarder:
    """Reads away the rest of requests; tells ``done`` each connection and if it can be reused."""

    def __init__(self, poller: selectors.BaseSelector, done: Callable[[TConn, bool], None]) -> None:
        self._poller = poller
        self._done = done
        self._rests: dict[TConn, _Rest] = {}

    def add(self, connection: TConn, unread: int | None) -> None:
        """Discard ``unread`` bytes and keep the connection; None: all that comes, and close it."""
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
        except (OSError, ValueError):  # The client is gone, or gunicorn has closed it.
            self._finish(connection, reusable=False)

    def close_overdue(self, stopping: bool) -> None:
        """Close connections that have had their time; call it about once a second."""
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
        with contextlib.suppress(KeyError, OSError, ValueError):  # It was never registered.
            self._poller.unregister(connection.sock)
        self._done(connection, reusable)
