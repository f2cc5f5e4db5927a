"""Who is let in when more photos come than can be judged, and how the others are turned away."""

import contextlib
import gc
import http.client
import os
import select
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import painter
import pytest
from serving import Gunicorn, folder_in_memory, form, one_worker, settings_for

from app import admission, metrics
from app.admission import Admission, Busy

PATIENT = """
from app.server import hooks

ready = hooks.post_worker_init
def patient(worker):
    from app import admission
    admission.RESERVATION_SECONDS = 600.0
    ready(worker)
hooks.post_worker_init = patient
"""
# More than gunicorn would read away by itself (64 kB).
BODY, KIND = form(painter.encoded(painter.lesion(), "PNG"))
HEADERS = {"Content-Type": KIND, "Content-Length": str(len(BODY))}


@pytest.fixture(scope="module")
def one_place(
    tiny_model: Path, engine_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gunicorn]:
    """One worker with one place, which it keeps for a photo that is arriving."""
    with folder_in_memory() as results:
        settings = {
            **settings_for(tiny_model, engine_cache, results),
            "MOLELENS_AT_ONCE": "1",
            "MOLELENS_WAITING": "0",
        }
        with one_worker(settings, tmp_path_factory.mktemp("one-place"), PATIENT) as server:
            yield server


def announced(server: Gunicorn, path: str) -> http.client.HTTPConnection:
    """A connection on which a photo is announced, and nothing of it is sent."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    connection.putrequest("POST", path)
    for name, value in HEADERS.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection


@pytest.mark.parametrize(("path", "good"), [("/api/v1/predictions", 200), ("/upload", 400)])
def test_one_photo_too_many_is_answered_before_it_is_sent_and_its_connection_goes_on(
    one_place: Gunicorn, path: str, good: int
) -> None:
    """Of two photos announced at once; the form's has no token, so that it ends as 400."""
    with closing(announced(one_place, path)) as one, closing(announced(one_place, path)) as other:
        (answered,), _, _ = select.select([one.sock, other.sock], [], [], 60)
        refused, let_in = (one, other) if answered is one.sock else (other, one)
        answer = refused.getresponse()
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert b"busy" in answer.read().lower()
        refused.sock.sendall(BODY)
        refused.request("GET", "/healthz")
        assert refused.getresponse().status == 200
        assert refused.sock is answered
        let_in.sock.sendall(BODY)
        assert let_in.getresponse().status == good


def nothing() -> None:
    """Work that a test needs to be let in with."""


def test_a_place_is_not_held_by_a_photo_that_comes_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Admission(at_once=1, waiting=0)
    monkeypatch.setattr(admission, "RESERVATION_SECONDS", 0.0)
    slow = room.reserve()

    def meanwhile() -> None:
        with pytest.raises(Busy):
            room.run(nothing, slow)

    room.run(meanwhile)
    room.run(nothing, slow)


def test_a_place_kept_is_taken_up_once_and_given_back() -> None:
    room = Admission(at_once=1, waiting=1)
    place = room.reserve()

    def meanwhile() -> None:
        other = room.reserve()
        with pytest.raises(Busy):
            room.reserve()
        room.release(other)
        room.reserve()

    room.run(meanwhile, place)


def test_nobody_waits_for_a_line_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Admission(at_once=1, waiting=0)
    monkeypatch.setattr(admission, "MAX_QUEUE_SECONDS", 30.0)

    def meanwhile() -> float:
        start = time.monotonic()
        with pytest.raises(Busy):
            room.run(nothing)
        return time.monotonic() - start

    assert room.run(meanwhile) < 10


def test_who_waited_too_long_is_turned_away_and_its_work_is_not_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room, done = Admission(at_once=1, waiting=1), []

    def meanwhile() -> None:
        monkeypatch.setattr(admission, "MAX_QUEUE_SECONDS", 0.0)
        with pytest.raises(Busy):
            room.run(lambda: done.append("too late"))

    room.run(meanwhile)
    monkeypatch.undo()
    room.run(lambda: done.append("in time"))
    assert done == ["in time"]


class Photo:
    """What a test can see vanish."""


def test_of_work_that_failed_nothing_is_kept_and_the_next_is_let_in() -> None:
    room = Admission(at_once=1, waiting=0)

    def fail(photo: Photo) -> None:
        raise ValueError(photo)

    def sent() -> weakref.ref[Photo]:
        photo = Photo()
        with contextlib.suppress(ValueError):
            room.run(lambda: fail(photo))
        return weakref.ref(photo)

    gc.disable()
    try:
        kept = sent()
        assert room.run(lambda: 1) == 1  # By the same thread, which has let go of the first.
        assert kept() is None
    finally:
        gc.enable()


def test_of_who_waited_too_long_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Admission(at_once=1, waiting=1)

    def meanwhile() -> weakref.ref[Photo]:
        photo = Photo()
        monkeypatch.setattr(admission, "MAX_QUEUE_SECONDS", 0.0)
        with pytest.raises(Busy):
            room.run(lambda: repr(photo))
        return weakref.ref(photo)

    def held() -> bool:
        kept = meanwhile()
        gc.collect()
        return kept() is not None

    assert not room.run(held)
    assert metrics.WAITING._value.get() == 0


def test_a_process_that_ends_still_answers_who_was_let_in() -> None:
    room = Admission(at_once=1, waiting=0)
    room._threads.shutdown()
    assert room.run(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        room.run(lambda: 1 / 0)


def test_where_no_thread_can_be_started_a_photo_is_judged_once_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_room(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    room, done = Admission(at_once=1, waiting=1), []
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_room)
        room.run(lambda: done.append("first"))
    room.run(lambda: done.append("second"))
    assert done == ["first", "second"]
    assert metrics.WAITING._value.get() == 0


def test_a_sandbox_that_forbids_niceness_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(_: int) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "nice", forbidden)
    assert Admission(at_once=1, waiting=0).run(lambda: 1) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only there a thread has a niceness of its own")
def test_photos_are_judged_behind_everything_else() -> None:
    room = Admission(at_once=1, waiting=0)
    own = os.nice(0)
    assert room.run(lambda: os.nice(0)) == min(19, own + admission.THREAD_NICENESS)
    assert os.nice(0) == own
