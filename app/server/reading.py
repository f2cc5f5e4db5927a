"""Time limits for reading requests, long enough for a phone on a bad network."""

import select
import time

from gunicorn.http.unreader import SocketUnreader

READ_TIMEOUT_SECONDS = 30.0
"""Time for a whole request. It is extended by one second for every MIN_BYTES_PER_SECOND received,
as in Apache (RequestReadTimeout in deploy/apache/molelens.conf), but never to more than
READ_TIMEOUT_SECONDS from now, so a client cannot save up time for a pause."""
MIN_BYTES_PER_SECOND = 20_000


class TimedReader(SocketUnreader):
    """Reads a request. If the client is too slow, the request ends as if it had disconnected."""

    max_body_chunk = 2**18  # Bytes; app.forms reads as many at a time.
    ended = False  # The client was too slow or has disconnected; there is no next request.

    def begin(self) -> None:
        """Start the time limit of the next request."""
        self._deadline = time.monotonic() + READ_TIMEOUT_SECONDS

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next bytes; b"" at the end of the request, or if the client is too slow."""
        arrival = select.poll()
        arrival.register(self.sock, select.POLLIN)
        seconds_left = self._deadline - time.monotonic()
        late = seconds_left <= 0 or not arrival.poll(seconds_left * 1000)
        data: bytes = b"" if late else super().chunk(size_hint)
        if not data:
            self.ended = True
        self._deadline = extended_deadline(self._deadline, len(data))
        return data


def extended_deadline(deadline: float, size: int) -> float:
    """The new deadline (time.monotonic) of a client that has just sent ``size`` bytes."""
    return min(deadline + size / MIN_BYTES_PER_SECOND, time.monotonic() + READ_TIMEOUT_SECONDS)
