"""Read away the rest of a body that is refused, so that the answer is heard.

A server that refuses a photo and closes while the client still sends makes the kernel reset the
connection; the browser then shows "connection reset" instead of the page that says why.
"""

import time

from flask import Request

_MOST_BYTES = 200_000_000
# A phone at 1 Mbit/s sends a photo of 5 MB in 40 s.
_MOST_SECONDS = 60.0
_CHUNK = 1 << 18


def drain(request: Request) -> None:
    """Read and drop what the client still sends, within a bound of bytes and of seconds."""
    stream = request.environ["wsgi.input"]
    # gunicorn's stream ends where the body does, also when its length was not told (from Apache).
    ends = request.environ.get("wsgi.input_terminated")
    left = _MOST_BYTES if ends else min(request.content_length or 0, _MOST_BYTES)
    end = time.monotonic() + _MOST_SECONDS
    while left > 0 and time.monotonic() < end:
        try:
            chunk = stream.read(min(_CHUNK, left))
        except OSError:  # The client went away, or breaks off its chunks: nobody listens.
            return
        if not chunk:
            return
        left -= len(chunk)
