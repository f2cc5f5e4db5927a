"""An answer given while the client still sends arrives, and clients cannot abuse this."""

import re
import select
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import painter
import pytest
from serving import Gunicorn, folder_in_memory, one_worker, settings_for

from app.server import discard
from app.server.discard import Discarder
from bench.visits import PREDICTIONS, Visitor, form

THREADS = 16
BODY_BYTES = 5_000_000
MAX_BYTES = 6_000_000
CODE = f"""
from app.server import discard
discard.MAX_BYTES = {MAX_BYTES}
"""


@pytest.fixture(scope="module")
def server(
    tiny_model: Path, engine_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gunicorn]:
    """One worker with few threads, at which the client has used up its rate limit."""
    with folder_in_memory() as results:
        settings = {
            **settings_for(tiny_model, engine_cache, results),
            "MOLELENS_RATE_LIMIT": "1/day",
            "MOLELENS_HOSTS": "127.0.0.1",
            "MOLELENS_MAX_UPLOAD": "1",
            "MOLELENS_THREADS": str(THREADS),
        }
        with one_worker(settings, tmp_path_factory.mktemp("early"), CODE) as server:
            first = Visitor(server.url).ask(PREDICTIONS, form(painter.encoded(painter.lesion())))
            assert first.status == 200
            yield server


def connect(server: Gunicorn, head: str) -> socket.socket:
    """A connection on which the head of a request was sent."""
    host, port = server.url.removeprefix("http://").split(":")
    client = socket.create_connection((host, int(port)), timeout=60)
    client.sendall(head.encode())
    return client


def head(request_line: str, *headers: str) -> str:
    names = [line.partition(":")[0].lower() for line in headers]
    if "host" not in names:
        headers = ("Host: 127.0.0.1", *headers)
    if "content-type" not in names:
        headers = (*headers, "Content-Type: multipart/form-data; boundary=e")
    return "\r\n".join([f"{request_line} HTTP/1.1", *headers, "", ""])


LENGTH = f"Content-Length: {BODY_BYTES}"
CHUNKED = "Transfer-Encoding: chunked"
EXPECT = "Expect: 100-continue"
EARLY_ANSWERS = {
    "too many photos": (429, f"POST {PREDICTIONS}", [LENGTH]),
    "no such page": (404, "POST /no-such-page", [LENGTH]),
    "a method the API lacks": (405, f"PUT {PREDICTIONS}", [LENGTH]),
    "a method a page lacks": (405, "POST /healthz", [LENGTH]),
    "a method static files lack": (405, "POST /static/style.css", [LENGTH]),
    "another host": (400, f"POST {PREDICTIONS}", [LENGTH, "Host: elsewhere.example"]),
    "too large": (413, "POST /upload", [LENGTH]),
    "an unknown expectation": (417, f"POST {PREDICTIONS}", [LENGTH, "Expect: a-miracle"]),
    "an unknown coding": (501, f"POST {PREDICTIONS}", ["Transfer-Encoding: zip"]),
    "two lengths": (400, f"POST {PREDICTIONS}", [LENGTH, CHUNKED]),
    "a long address": (414, f"POST /{'a' * 3000}", [LENGTH]),
    "a long header": (431, f"POST {PREDICTIONS}", [LENGTH, f"X-Long: {'a' * 9000}"]),
    "no header": (400, f"POST {PREDICTIONS}", [LENGTH, "Without a colon"]),
    "the connection will close": (404, "POST /no-such-page", [LENGTH, "Connection: close"]),
    "chunked, too many photos": (429, f"POST {PREDICTIONS}", [CHUNKED]),
    "chunked, no such page": (404, "POST /no-such-page", [CHUNKED]),
    "chunked, another method": (405, f"PUT {PREDICTIONS}", [CHUNKED]),
    "chunked, another host": (400, f"POST {PREDICTIONS}", [CHUNKED, "Host: elsewhere.example"]),
    "expecting, too many photos": (429, f"POST {PREDICTIONS}", [LENGTH, EXPECT]),
    "expecting, no such page": (404, "POST /no-such-page", [LENGTH, EXPECT]),
    "expecting and chunked": (404, "POST /no-such-page", [CHUNKED, EXPECT]),
}


@pytest.mark.parametrize(("status", "line", "headers"), EARLY_ANSWERS.values(), ids=EARLY_ANSWERS)
def test_an_early_answer_arrives_after_the_whole_body_is_sent(
    server: Gunicorn, status: int, line: str, headers: list[str]
) -> None:
    with connect(server, head(line, *headers)) as client:
        wait_for_answer(client)
        send_all(client, chunked=CHUNKED in headers)
        got = statuses(client)
    assert got == ([100, status] if EXPECT in headers else [status])


def test_an_answer_given_in_the_middle_of_a_body_arrives(server: Gunicorn) -> None:
    photo_begins = b'--e\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
    with connect(server, head("POST /upload", CHUNKED)) as client:
        client.sendall(b"%x\r\n%b\r\n" % (len(photo_begins), photo_begins))
        send_all(client, chunked=True)
        assert statuses(client) == [413]


def wait_for_answer(client: socket.socket) -> None:
    assert select.select([client], [], [], 60)[0]


def send_all(client: socket.socket, chunked: bool) -> None:
    piece = bytes(50_000)
    if chunked:
        piece = b"c350\r\n" + piece + b"\r\n"
    for _ in range(BODY_BYTES // 50_000):
        client.sendall(piece)
    if chunked:
        client.sendall(b"0\r\n\r\n")


def statuses(client: socket.socket) -> list[int]:
    """The statuses of all answers until the connection is closed."""
    client.shutdown(socket.SHUT_WR)
    with client.makefile("rb") as answers:
        return [int(status) for status in re.findall(rb"HTTP/1.1 (\d{3}) ", answers.read())]


@pytest.mark.parametrize("kind", ["too many photos", "no such page", "a method a page lacks"])
def test_the_connection_is_kept_after_a_body_of_known_length(server: Gunicorn, kind: str) -> None:
    status, line, headers = EARLY_ANSWERS[kind]
    with connect(server, head(line, *headers)) as client:
        wait_for_answer(client)
        send_all(client, chunked=False)
        client.sendall(head("GET /healthz", "Connection: close").encode())
        got = statuses(client)
    assert got == [status, 200]


def test_what_follows_a_body_in_the_same_packet_is_the_next_request(server: Gunicorn) -> None:
    requests = head("POST /no-such-page", "Content-Length: 5") + "12345" + head("GET /healthz")
    with connect(server, requests) as client:
        got = statuses(client)
    assert got == [404, 200]


def test_clients_that_never_stop_sending_are_cut_off_and_delay_no_others(server: Gunicorn) -> None:
    with ExitStack() as stack:
        endless = [
            stack.enter_context(connect(server, head("POST /no-such-page", CHUNKED)))
            for _ in range(2 * THREADS)
        ]
        for client in endless:
            wait_for_answer(client)
            client.sendall(b"ffffffff\r\n")
        assert "MoleLens" in server.get("/privacy")
        sent = sum(len(send_until_cut_off(client)) for client in endless[:3])
    assert sent < 3 * (MAX_BYTES + 20_000_000)  # What the kernel buffers counts as sent.
    assert server.ready()


def send_until_cut_off(client: socket.socket) -> bytes:
    sent = bytearray()
    while True:
        try:
            sent += bytes(client.send(bytes(100_000)))
        except OSError:
            return bytes(sent)


# The discarder alone, without a server.


class Connection:
    """The part of gunicorn's connection that a Discarder uses."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock


@dataclass
class Discarding:
    """A discarder with one connection, on which ``client`` sends.

    ``finished`` has the value of ``reusable`` for each connection that the discarder has finished.
    """

    discarder: Discarder
    poller: selectors.BaseSelector
    connection: Connection
    client: socket.socket
    finished: list[bool]


@pytest.fixture
def discarding() -> Iterator[Discarding]:
    server, client = socket.socketpair()
    with server, client, selectors.DefaultSelector() as poller:
        finished: list[bool] = []
        discarder = Discarder(poller, lambda _, reusable: finished.append(reusable))
        yield Discarding(discarder, poller, Connection(server), client, finished)


def test_a_client_that_sends_nothing_or_too_slowly_is_closed(discarding, monkeypatch):
    monkeypatch.setattr(discard, "READ_TIMEOUT_SECONDS", -1.0)
    discarding.discarder.add(discarding.connection, 10)
    discarding.discarder.close_overdue(stopping=False)
    assert discarding.finished == [False]


def test_a_client_that_sends_for_too_long_is_closed(discarding, monkeypatch):
    monkeypatch.setattr(discard, "MAX_SECONDS", -1.0)
    discarding.discarder.add(discarding.connection, None)
    discarding.discarder.close_overdue(stopping=False)
    assert discarding.finished == [False]


def test_a_stopping_worker_discards_for_two_more_seconds(discarding, monkeypatch):
    discarding.discarder.add(discarding.connection, 10)
    discarding.discarder.close_overdue(stopping=True)
    assert discarding.finished == []
    monkeypatch.setattr(discard, "STOP_SECONDS", -1.0)
    discarding.discarder.close_overdue(stopping=True)
    assert discarding.finished == [False]


def test_with_too_many_connections_the_oldest_is_closed(discarding, monkeypatch):
    monkeypatch.setattr(discard, "MAX_CONNECTIONS", 1)
    discarding.discarder.add(discarding.connection, 10)
    discarding.discarder.add(Connection(discarding.client), 10)
    assert discarding.finished == [False]


def test_a_connection_that_is_closed_before_its_turn_in_the_same_poll_is_ignored(
    discarding, monkeypatch
):
    monkeypatch.setattr(discard, "MAX_CONNECTIONS", 1)
    discarding.discarder.add(discarding.connection, 10)
    discarding.client.send(b"x")
    ((key, _),) = discarding.poller.select()
    discarding.discarder.add(Connection(discarding.client), 10)
    key.data(discarding.connection.sock)
    assert discarding.finished == [False]
