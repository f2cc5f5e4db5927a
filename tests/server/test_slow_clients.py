"""Clients that send very slowly are cut off, and others are served meanwhile."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import painter
import pytest
from serving import Gunicorn, folder_in_memory, one_worker, settings_for

from bench.visits import HEADERS, PREDICTIONS, form

THREADS = 12
READ_TIMEOUT_SECONDS = 10
FIRST_LINES = f"POST {PREDICTIONS} HTTP/1.1\r\nHost: localhost\r\n".encode()


def head(body: bytes) -> bytes:
    lines = f"Content-Length: {len(body)}\r\nContent-Type: {HEADERS['Content-Type']}\r\n\r\n"
    return FIRST_LINES + lines.encode()


BODY = form(painter.encoded(painter.lesion()))
# What is sent immediately, and what is then sent slowly.
SLOW_CLIENTS = {
    "slow headers": (FIRST_LINES, b"X-Any: x\r\n" * 1000),
    "slow body": (head(BODY), BODY),
    "silence": (b"G", b""),
}


@pytest.fixture(scope="module")
def server(
    tiny_model: Path, engine_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gunicorn]:
    """One worker with few threads and a read timeout of 10 s instead of 30."""
    with folder_in_memory() as results:
        settings = {
            **settings_for(tiny_model, engine_cache, results),
            "MOLELENS_THREADS": str(THREADS),
            "MOLELENS_WAITING": str(THREADS - 4),  # With two at work, a place for each client.
        }
        folder = tmp_path_factory.mktemp("server")
        code = (
            "from app.server import reading\n"
            f"reading.READ_TIMEOUT_SECONDS = {float(READ_TIMEOUT_SECONDS)}"
        )
        with one_worker(settings, folder, code) as server:
            yield server


def trickle(slow: socket.socket, rest: bytes) -> bytes:
    """Send a byte every tenth of a second until the server closes; return its answer."""
    slow.settimeout(0.1)
    end = time.monotonic() + 60
    for at in range(len(rest)):
        assert time.monotonic() < end, "the server never closed the connection"
        try:
            slow.sendall(rest[at : at + 1])
            return slow.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return b""
    slow.settimeout(60)
    return slow.recv(65536)


@pytest.mark.parametrize("kind", SLOW_CLIENTS)
def test_others_are_served_meanwhile_and_slow_clients_are_cut_off(
    server: Gunicorn, kind: str
) -> None:
    begin, rest = SLOW_CLIENTS[kind]
    host, port = server.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        clients = []
        for _ in range(THREADS - 2):
            clients.append(stack.enter_context(socket.create_connection((host, int(port)))))
            clients[-1].sendall(begin)
        assert "MoleLens" in server.get("/")
        assert select.select(clients, [], [], 0)[0] == []  # None of them has been cut off yet.
        answer = trickle(clients[0], rest)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert server.ready()


def test_a_photo_that_arrives_slowly_but_steadily_is_judged(server: Gunicorn) -> None:
    """It exceeds the time limit, but brings at least 20 kB a second, which extend the limit."""
    host, port = server.url.removeprefix("http://").split(":")
    data = form(painter.encoded(painter.lesion(), "PNG"))
    steps = 10 * READ_TIMEOUT_SECONDS + 5
    with socket.create_connection((host, int(port)), timeout=60) as steady:
        steady.sendall(head(data))
        size = len(data) // steps + 1
        start = time.monotonic()
        for at in range(0, len(data), size):
            steady.sendall(data[at : at + size])
            time.sleep(0.1)  # The pace of this client, which is what is tested.
        assert time.monotonic() - start > READ_TIMEOUT_SECONDS
        assert steady.recv(65536).startswith(b"HTTP/1.1 200")
