"""What happens to a photo: no byte of it reaches a disk, and nothing that tells it the log."""

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import painter
import pytest
from crowd import Crowd
from serving import (
    Gunicorn,
    folder_in_memory,
    form,
    gunicorn,
    one_worker,
    settings_for,
    wait_until,
    written_to_disk,
)

# Larger than what Werkzeug and gunicorn keep in memory by themselves.
LARGE = painter.encoded(painter.lesion(size=2200), "PNG")


@pytest.fixture(scope="module")
def private(tiny_model: Path, engine_cache: Path) -> Iterator[Gunicorn]:
    """A server whose own log is in memory, too."""
    with folder_in_memory() as folder:
        settings = {
            **settings_for(tiny_model, engine_cache, folder / "store"),
            "MOLELENS_WORKERS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with gunicorn(settings, folder / "log") as server:
            yield server


@dataclass
class Unnamed:
    """Settings that name no folder of results, and lines that make the default one ``folder``.

    The default bears the user's number, and the tests' own user may serve, too.
    """

    settings: dict[str, str]
    folder: Path

    @property
    def lines(self) -> str:
        return NAMED_OTHERWISE.format(self.folder.name.removeprefix("molelens-"))

    def kept(self) -> list[str]:
        return os.listdir(self.folder / "results")


NAMED_OTHERWISE = """
import os

class Uid(int):
    __str__ = lambda _: {!r}

os.getuid = lambda uid=Uid(os.getuid()): uid
"""


@pytest.fixture
def unnamed(settings: dict[str, str], memory_folder: Path) -> Unnamed:
    del settings["MOLELENS_RESULTS"]
    return Unnamed(settings, memory_folder)


def send(server: Gunicorn, photo: bytes, path: str = "/api/v1/predictions") -> int:
    body, kind = form(photo)
    connection = HTTPConnection(server.url.removeprefix("http://"), timeout=120)
    connection.request("POST", path, body, {"Content-Type": kind})
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_kernel_counts_what_is_written_to_a_disk() -> None:
    on_disk = Path(__file__).with_name("written-to-disk")
    before = written_to_disk(os.getpid())
    try:
        on_disk.write_bytes(LARGE)
        assert written_to_disk(os.getpid()) - before >= len(LARGE)
    finally:
        on_disk.unlink()


def test_no_byte_of_a_photo_is_written_to_a_disk(private: Gunicorn) -> None:
    assert len(LARGE) > 5_000_000
    assert send(private, LARGE) == 200  # What is loaded late is loaded now.
    before = written_to_disk(private.process.pid)
    assert send(private, LARGE) == 200
    assert send(private, LARGE, path="/upload") == 400  # Without a token: refused, but read.
    assert send(private, LARGE * 4) == 413
    assert send(private, LARGE[: len(LARGE) // 2]) == 422
    assert send(private, b"no photo" * 500_000) == 415
    assert written_to_disk(private.process.pid) - before < 100_000


def test_a_stop_removes_every_photo_and_no_reload_or_crash_before_it_does(
    unnamed: Unnamed, tmp_path: Path
) -> None:
    with one_worker(unnamed.settings, tmp_path, unnamed.lines) as server:
        with Crowd(server.url) as crowd:
            pass
        for number, pid in ((signal.SIGHUP, server.process.pid), (signal.SIGKILL, None)):
            workers = server.workers()
            os.kill(pid or min(workers), number)
            wait_until(lambda before=workers: not server.workers() & before and server.ready())
            assert crowd.statuses() == {200}
        assert unnamed.kept()
    assert unnamed.kept() == []


def test_a_stop_keeps_results_in_a_folder_that_the_operator_named(
    settings: dict[str, str], memory_folder: Path, tmp_path: Path
) -> None:
    with gunicorn(settings, tmp_path / "log") as server, Crowd(server.url):
        pass
    assert os.listdir(memory_folder / "results")


def test_a_stop_removes_nothing_that_another_gunicorn_of_the_same_user_still_serves(
    unnamed: Unnamed, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with one_worker(unnamed.settings, folders[1], unnamed.lines) as second:
        with (
            one_worker(unnamed.settings, folders[0], unnamed.lines) as first,
            Crowd(first.url) as crowd,
        ):
            pass
        crowd.url = second.url
        assert crowd.statuses() == {200}
    assert unnamed.kept() == []


def test_nothing_in_the_servers_log_tells_who_sent_what(private: Gunicorn) -> None:
    photo = painter.encoded(painter.lesion())
    assert send(private, photo) == 200
    lines = [line for line in private.said().splitlines() if line.startswith("{")]
    assert json.loads(lines[-1])["verdict"] == "malignant"
    hashes = [hashlib.new(name, photo).hexdigest() for name in ("md5", "sha1", "sha256")]
    for telling in ("127.0.0.1", "a.jpg", "image/jpeg", *hashes):
        assert not [line for line in lines if telling in line]
