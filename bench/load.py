"""Load a server with some clients, each sending the next photo as soon as the last is answered.

They reuse their connections, as programs that use the API do; a ``bench.visits.Visitor`` opens one
for each request, like a new browser.
"""

import http.client
import resource
import ssl
import statistics
import threading
import time
from collections.abc import Sequence
from typing import TypedDict

from bench.visits import HEADERS, PREDICTIONS, form


class Figures(TypedDict):
    """The results of one load; a time is NaN if there was no such request."""

    clients: int
    answered: int
    answered_per_s: float
    p50_ms: float
    p99_ms: float
    refused: int
    refused_p99_ms: float
    failed: int
    client_cpu_ms: float


def ask(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
    """Send one photo; return the status and body of the answer."""
    connection.request("POST", PREDICTIONS, body, HEADERS)
    response = connection.getresponse()
    return response.status, response.read()


def run(
    port: int,
    photo: bytes,
    clients: int,
    seconds: float,
    trusted: ssl.SSLContext | None = None,
) -> Figures:
    """Load the server on ``port`` for about ``seconds``, over https if a context is given."""
    body = form(photo)
    records: list[tuple[int, float]] = []
    stop = time.perf_counter() + seconds

    def client() -> None:
        connection = _connection(port, trusted)
        while time.perf_counter() < stop:
            start = time.perf_counter()
            try:
                status, _ = ask(connection, body)
            except (OSError, http.client.HTTPException):
                status = 0
                connection.close()
            records.append((status, time.perf_counter() - start))
            if status == 503:
                # Without this pause the refused requests would be most of the load.
                time.sleep(0.1)

    cpu, begin = _cpu(), time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - begin
    times = {status: [t for s, t in records if s == status] for status in {s for s, _ in records}}
    answered, refused = times.get(200, []), times.get(503, [])
    return Figures(
        clients=clients,
        answered=len(answered),
        answered_per_s=len(answered) / elapsed,
        p50_ms=percentile(answered, 50),
        p99_ms=percentile(answered, 99),
        refused=len(refused),
        refused_p99_ms=percentile(refused, 99),
        failed=len(records) - len(answered) - len(refused),
        client_cpu_ms=1000 * (_cpu() - cpu) / max(1, len(records)),
    )


def _connection(port: int, trusted: ssl.SSLContext | None) -> http.client.HTTPConnection:
    if trusted:
        return http.client.HTTPSConnection("localhost", port, timeout=120, context=trusted)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=120)


def percentile(seconds: Sequence[float], percent: int) -> float:
    """A percentile in milliseconds; NaN without values."""
    if len(seconds) < 2:
        return 1000 * seconds[0] if seconds else float("nan")
    return 1000 * statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
