"""No byte of a photo is written to a disk, and the log identifies neither photos nor visitors."""

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import painter
import pytest
from crowd import Crowd
from serving import (
    Gunicorn,
    bytes_written_to_disk,
    folder_in_memory,
    gunicorn,
    one_worker,
    settings_for,
    wait_until,
)

from bench.visits import PREDICTIONS, Visitor, form

# Larger than what Werkzeug and gunicorn keep in memory by default.
LARGE_PNG = painter.encoded(painter.lesion(size=2200), "PNG")


@pytest.fixture(scope="module")
def in_memory_server(tiny_model: Path, engine_cache: Path) -> Iterator[Gunicorn]:
    """A server whose log is also in memory, so that it writes nothing to a disk."""
    with folder_in_memory() as folder:
        settings = {
            **settings_for(tiny_model, engine_cache, folder / "store"),
            "MOLELENS_WORKERS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with gunicorn(settings, folder / "log") as server:
            yield server


@dataclass
class DefaultFolder:
    """Settings without MOLELENS_RESULTS, and code with which ``folder`` is the default for it.

    The default folder is named after the user's id, so a real server of this user would share it.
    The code therefore makes the server believe that it has another id.
    """

    settings: dict[str, str]
    folder: Path

    @property
    def code(self) -> str:
        return PRETEND_USER_ID.format(self.folder.name.removeprefix("molelens-"))

    def results(self) -> list[str]:
        return os.listdir(self.folder / "results")


PRETEND_USER_ID = """
import os

class Uid(int):
    __str__ = lambda _: {!r}

os.getuid = lambda uid=Uid(os.getuid()): uid
"""


@pytest.fixture
def default_folder(settings: dict[str, str], memory_folder: Path) -> DefaultFolder:
    del settings["MOLELENS_RESULTS"]
    return DefaultFolder(settings, memory_folder)


def send(server: Gunicorn, photo: bytes, path: str = PREDICTIONS) -> int:
    return Visitor(server.url).ask(path, form(photo)).status


def test_the_kernel_counts_what_is_written_to_a_disk() -> None:
    on_disk = Path(__file__).with_name("written-to-disk")
    before = bytes_written_to_disk(os.getpid())
    try:
        on_disk.write_bytes(LARGE_PNG)
        assert bytes_written_to_disk(os.getpid()) - before >= len(LARGE_PNG)
    finally:
        on_disk.unlink()


def test_no_byte_of_a_photo_is_written_to_a_disk(in_memory_server: Gunicorn) -> None:
    assert len(LARGE_PNG) > 5_000_000
    assert (
        send(in_memory_server, LARGE_PNG) == 200
    )  # Loads modules that are imported at the first photo.
    before = bytes_written_to_disk(in_memory_server.process.pid)
    assert send(in_memory_server, LARGE_PNG) == 200
    assert (
        send(in_memory_server, LARGE_PNG, path="/upload") == 400
    )  # Read, but refused without a token.
    assert send(in_memory_server, LARGE_PNG * 4) == 413
    assert send(in_memory_server, LARGE_PNG[: len(LARGE_PNG) // 2]) == 422
    assert send(in_memory_server, b"no photo" * 500_000) == 415
    assert bytes_written_to_disk(in_memory_server.process.pid) - before < 100_000


def test_a_stop_removes_every_photo_but_a_reload_or_a_crash_removes_none(
    default_folder: DefaultFolder, tmp_path: Path
) -> None:
    with one_worker(default_folder.settings, tmp_path, default_folder.code) as server:
        with Crowd(server.url) as crowd:
            pass
        for signal_number, pid in ((signal.SIGHUP, server.process.pid), (signal.SIGKILL, None)):
            workers = server.workers()
            os.kill(pid or min(workers), signal_number)
            wait_until(lambda before=workers: not server.workers() & before and server.ready())
            assert crowd.photo_statuses() == {200}
        assert default_folder.results()
    assert default_folder.results() == []


def test_a_stop_keeps_results_in_a_folder_that_the_operator_chose(
    settings: dict[str, str], memory_folder: Path, tmp_path: Path
) -> None:
    with gunicorn(settings, tmp_path / "log") as server, Crowd(server.url):
        pass
    assert os.listdir(memory_folder / "results")


def test_a_stop_keeps_results_that_another_gunicorn_of_the_same_user_still_serves(
    default_folder: DefaultFolder, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    with one_worker(default_folder.settings, folders[1], default_folder.code) as second:
        with (
            one_worker(default_folder.settings, folders[0], default_folder.code) as first,
            Crowd(first.url) as crowd,
        ):
            pass
        crowd.url = second.url
        assert crowd.photo_statuses() == {200}
    assert default_folder.results() == []


def test_the_log_does_not_tell_who_sent_which_photo(in_memory_server: Gunicorn) -> None:
    photo = painter.encoded(painter.lesion())
    assert send(in_memory_server, photo) == 200
    lines = [line for line in in_memory_server.log.splitlines() if line.startswith("{")]
    assert json.loads(lines[-1])["verdict"] == "malignant"
    hashes = [hashlib.new(name, photo).hexdigest() for name in ("md5", "sha1", "sha256")]
    for secret in ("127.0.0.1", "photo.jpg", "image/jpeg", *hashes):
        assert not [line for line in lines if secret in line]
