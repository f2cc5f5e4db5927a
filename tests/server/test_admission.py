"""Which photos are admitted when more arrive than can be judged, and how the others are refused."""

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
from serving import Gunicorn, folder_in_memory, one_worker, settings_for

from app import admission, metrics
from app.admission import Admission, Busy
from bench.visits import HEADERS, PREDICTIONS, form

LONG_RESERVATION = """
from app.server import hooks

original = hooks.post_worker_init
def post_worker_init(worker):
    from app import admission
    admission.RESERVATION_SECONDS = 600.0
    original(worker)
hooks.post_worker_init = post_worker_init
"""
# Larger than what gunicorn itself discards (64 kB).
BODY = form(painter.encoded(painter.lesion(), "PNG"))


@pytest.fixture(scope="module")
def one_place(
    tiny_model: Path, engine_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gunicorn]:
    """One worker that admits one photo, and reserves its place while it arrives."""
    with folder_in_memory() as results:
        settings = {
            **settings_for(tiny_model, engine_cache, results),
            "MOLELENS_AT_ONCE": "1",
            "MOLELENS_WAITING": "0",
        }
        folder = tmp_path_factory.mktemp("one-place")
        with one_worker(settings, folder, LONG_RESERVATION) as server:
            yield server


def begin_upload(server: Gunicorn, path: str) -> http.client.HTTPConnection:
    """A connection on which the headers of an upload are sent, but not its body."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    connection.putrequest("POST", path)
    for name, value in {**HEADERS, "Content-Length": str(len(BODY))}.items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection


@pytest.mark.parametrize(("path", "status_of_admitted"), [(PREDICTIONS, 200), ("/upload", 400)])
def test_one_photo_too_many_is_refused_before_it_is_sent_and_its_connection_is_kept(
    one_place: Gunicorn, path: str, status_of_admitted: int
) -> None:
    """Two uploads begin at the same time. The form has no token, so its answer is 400."""
    with (
        closing(begin_upload(one_place, path)) as one,
        closing(begin_upload(one_place, path)) as other,
    ):
        (answered,), _, _ = select.select([one.sock, other.sock], [], [], 60)
        refused, admitted = (one, other) if answered is one.sock else (other, one)
        answer = refused.getresponse()
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert b"busy" in answer.read().lower()
        refused.sock.sendall(BODY)
        refused.request("GET", "/healthz")
        assert refused.getresponse().status == 200
        assert refused.sock is answered
        admitted.sock.sendall(BODY)
        assert admitted.getresponse().status == status_of_admitted


def do_nothing() -> None:
    """Work for which a place is needed."""


def test_a_photo_that_arrives_slowly_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Admission(at_once=1, waiting=0)
    monkeypatch.setattr(admission, "RESERVATION_SECONDS", 0.0)
    slow = queue.reserve()

    def while_busy() -> None:
        with pytest.raises(Busy):
            queue.run(do_nothing, slow)

    queue.run(while_busy)
    queue.run(do_nothing, slow)


def test_a_reserved_place_is_used_once_and_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Admission(at_once=1, waiting=1)
    monkeypatch.setattr(admission, "RESERVATION_SECONDS", 600.0)
    place = queue.reserve()

    def while_busy() -> None:
        other = queue.reserve()
        with pytest.raises(Busy):
            queue.reserve()
        queue.release(other)
        queue.reserve()

    queue.run(while_busy, place)


def test_nobody_waits_when_the_queue_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Admission(at_once=1, waiting=0)
    monkeypatch.setattr(admission, "MAX_QUEUE_SECONDS", 60.0)

    def while_busy() -> float:
        start = time.monotonic()
        with pytest.raises(Busy):
            queue.run(do_nothing)
        return time.monotonic() - start

    assert queue.run(while_busy) < admission.MAX_QUEUE_SECONDS


def test_after_too_long_a_wait_a_photo_is_refused_and_its_work_is_not_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, done = Admission(at_once=1, waiting=1), []

    def while_busy() -> None:
        monkeypatch.setattr(admission, "MAX_QUEUE_SECONDS", 0.0)
        with pytest.raises(Busy):
            queue.run(lambda: done.append("too late"))

    queue.run(while_busy)
    monkeypatch.undo()
    queue.run(lambda: done.append("in time"))
    assert done == ["in time"]


class Photo:
    """An object whose deletion a test can observe."""


def test_nothing_of_failed_work_is_kept_and_the_next_is_admitted() -> None:
    queue = Admission(at_once=1, waiting=0)

    def fail(photo: Photo) -> None:
        raise ValueError(photo)

    def run_and_fail() -> weakref.ref[Photo]:
        photo = Photo()
        with contextlib.suppress(ValueError):
            queue.run(lambda: fail(photo))
        return weakref.ref(photo)

    gc.disable()
    try:
        photo = run_and_fail()
        assert queue.run(lambda: 1) == 1  # On the same thread, which has released the first.
        assert photo() is None
    finally:
        gc.enable()


def test_nothing_is_kept_after_too_long_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Admission(at_once=1, waiting=1)

    def while_busy() -> weakref.ref[Photo]:
        photo = Photo()
        monkeypatch.setattr(admission, "MAX_QUEUE_SECONDS", 0.0)
        with pytest.raises(Busy):
            queue.run(lambda: repr(photo))
        return weakref.ref(photo)

    def is_photo_kept() -> bool:
        photo = while_busy()
        gc.collect()
        return photo() is not None

    assert not queue.run(is_photo_kept)
    assert metrics.WAITING._value.get() == 0


def test_a_process_that_stops_still_answers_admitted_photos() -> None:
    queue = Admission(at_once=1, waiting=0)
    queue._threads.shutdown()
    assert queue.run(lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        queue.run(lambda: 1 / 0)


def test_when_no_thread_can_be_started_a_photo_is_still_judged_exactly_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    queue, done = Admission(at_once=1, waiting=1), []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        queue.run(lambda: done.append("first"))
    queue.run(lambda: done.append("second"))
    assert done == ["first", "second"]
    assert metrics.WAITING._value.get() == 0


def test_a_sandbox_that_forbids_niceness_does_not_stop_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbid(_: int) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "nice", forbid)
    assert Admission(at_once=1, waiting=0).run(lambda: 1) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="threads have their own niceness only on Linux")
def test_photos_are_judged_at_a_lower_priority() -> None:
    queue = Admission(at_once=1, waiting=0)
    own = os.nice(0)
    assert queue.run(lambda: os.nice(0)) == min(19, own + admission.THREAD_NICENESS)
    assert os.nice(0) == own
