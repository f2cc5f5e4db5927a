"""Read away the rest of a body that is refused, so that the answer is heard.

A server that answers 413 and closes while the client still sends makes the kernel reset the
connection; the browser then shows "connection reset" instead of the page that says why.
"""

import time

from flask import Request

_MOST_BYTES = 200_000_000
_MOST_SECONDS = 10.0
_CHUNK = 1 << 16


def drain(request: Request) -> None:
    """Read and drop what the client still sends, within a bound of bytes and of seconds."""
    stream = request.environ["wsgi.input"]
    left = min(request.content_length or 0, _MOST_BYTES)
    end = time.monotonic() + _MOST_SECONDS
    while left > 0 and time.monotonic() < end:
        chunk = stream.read(min(_CHUNK, left))
        if not chunk:
            return
        left -= len(chunk)
