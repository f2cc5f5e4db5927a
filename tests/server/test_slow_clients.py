"""Clients that send a byte now and then: the others are served, and the slow ones cut off."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import painter
import pytest
from serving import Gunicorn, folder_in_memory, form, one_worker, settings_for

THREADS = 12
BODY = form(painter.encoded(painter.lesion()))
HEAD = b"POST /api/v1/predictions HTTP/1.1\r\nHost: localhost\r\n"
WHOLE_HEAD = HEAD + f"Content-Length: {len(BODY[0])}\r\nContent-Type: {BODY[1]}\r\n\r\n".encode()
# What they send at once, and what they trickle after it.
SLOW = {
    "slow headers": (HEAD, b"X-Any: x\r\n" * 1000),
    "slow body": (WHOLE_HEAD, BODY[0]),
    "silence": (b"G", b""),
}


@pytest.fixture(scope="module")
def impatient(
    tiny_model: Path, engine_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gunicorn]:
    """One worker of few threads that waits 4 s where it would wait 30."""
    with folder_in_memory() as results:
        settings = {
            **settings_for(tiny_model, engine_cache, results),
            "MOLELENS_THREADS": str(THREADS),
            "MOLELENS_WAITING": str(THREADS - 4),  # With the two in work, a place for each.
        }
        folder = tmp_path_factory.mktemp("impatient")
        lines = "from app.server import reading\nreading.READ_TIMEOUT_SECONDS = 4.0"
        with one_worker(settings, folder, lines) as server:
            yield server


def trickle(slow: socket.socket, rest: bytes) -> bytes:
    """Send a byte every tenth of a second until the server hangs up; what it said."""
    slow.settimeout(0.1)
    end = time.monotonic() + 60
    for at in range(len(rest)):
        assert time.monotonic() < end, "the server never hung up"
        try:
            slow.sendall(rest[at : at + 1])
            return slow.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return b""
    slow.settimeout(60)
    return slow.recv(65536)


@pytest.mark.parametrize("kind", SLOW)
def test_others_are_served_meanwhile_and_slow_clients_are_cut_off(
    impatient: Gunicorn, kind: str
) -> None:
    begin, rest = SLOW[kind]
    host, port = impatient.url.removeprefix("http://").split(":")
    with ExitStack() as stack:
        clients = []
        for _ in range(THREADS - 2):
            clients.append(stack.enter_context(socket.create_connection((host, int(port)))))
            clients[-1].sendall(begin)
        assert "MoleLens" in impatient.get("/")
        assert select.select(clients, [], [], 0)[0] == []  # None is cut off yet: it was meanwhile.
        said = trickle(clients[0], rest)
    assert said == b"" or said.startswith(b"HTTP/1.1 400")
    assert impatient.ready()


def test_a_photo_that_comes_slowly_but_steadily_is_judged(impatient: Gunicorn) -> None:
    """It takes over 4 s, but brings more than 20 kB in each."""
    host, port = impatient.url.removeprefix("http://").split(":")
    data, kind = form(painter.encoded(painter.lesion(), "PNG"))
    head = HEAD + f"Content-Length: {len(data)}\r\nContent-Type: {kind}\r\n\r\n".encode()
    steps = 45
    with socket.create_connection((host, int(port)), timeout=60) as steady:
        steady.sendall(head)
        size = len(data) // steps + 1
        start = time.monotonic()
        for at in range(0, len(data), size):
            steady.sendall(data[at : at + size])
            time.sleep(0.1)  # The pace of this client, which is what is tested.
        assert time.monotonic() - start > 4
        assert steady.recv(65536).startswith(b"HTTP/1.1 200")
