"""How slowly a client may send: enough for a phone on a bad network, and no more."""

import select
import time

from gunicorn.http.unreader import SocketUnreader

READ_TIMEOUT_SECONDS = 30.0
"""In which a request must have come, headers and body, and a second more for every"""
MIN_BYTES_PER_SECOND = 20_000
"""so many bytes, as with Apache's RequestReadTimeout (deploy/apache/molelens.conf). No client is
ever waited for longer than READ_TIMEOUT_SECONDS from now: what it sent fast buys it no silence
later."""


class TimedReader(SocketUnreader):
    """Reads a request while its client keeps up; then it is as if the client had hung up."""

    max_body_chunk = 2**18  # Of a body, in bytes: as many as the app asks for (app/incoming.py).
    ended = False  # Too late, or the client hung up: where a next request would begin is unknown.

    def begin(self) -> None:
        """From now on counts the time of the next request."""
        self._end = time.monotonic() + READ_TIMEOUT_SECONDS

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next piece, b"" when there is none or it is too late."""
        arrival = select.poll()
        arrival.register(self.sock, select.POLLIN)
        left = self._end - time.monotonic()
        late = left <= 0 or not arrival.poll(left * 1000)
        data: bytes = b"" if late else super().chunk(size_hint)
        if not data:
            self.ended = True
        self._end = extended(self._end, len(data))
        return data


def extended(end: float, size: int) -> float:
    """Until when (time.monotonic) a client is waited for that has just sent ``size`` bytes."""
    return min(end + size / MIN_BYTES_PER_SECOND, time.monotonic() + READ_TIMEOUT_SECONDS)
