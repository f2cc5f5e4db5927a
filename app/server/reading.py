"""Time limits for reading requests, generous enough for a phone on a bad network."""

import select
import time

from gunicorn.http.unreader import SocketUnreader

READ_TIMEOUT_SECONDS = 30.0
"""Time for a whole request. It is extended by one second for every MIN_BYTES_PER_SECOND received,
as in Apache (RequestReadTimeout in deploy/apache/molelens.conf), but never beyond
READ_TIMEOUT_SECONDS from now, so a client cannot save up time for a pause."""
MIN_BYTES_PER_SECOND = 20_000


class TimedReader(SocketUnreader):
    """Reads a request. If the client is too slow, the request ends as if it had disconnected."""

    max_body_chunk = 2**18  # Bytes; app.forms reads as many at once.
    ended = False  # The client was too slow or has disconnected; there is no next request.

    def begin(self) -> None:
        """Start the time limit of the next request."""
        self._end = time.monotonic() + READ_TIMEOUT_SECONDS

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next bytes; b"" at the end, or when the time is over."""
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
    """The new time limit (time.monotonic) of a client that has just sent ``size`` bytes."""
    return min(end + size / MIN_BYTES_PER_SECOND, time.monotonic() + READ_TIMEOUT_SECONDS)
