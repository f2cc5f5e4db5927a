"""What people see, under a steady load, while a part of the service breaks; and that it mends."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import h5py
import painter
import pytest
import redis
from crowd import Crowd
from serving import Gunicorn, fill, form, gunicorn, redis_server, settings_for, small_disk
from serving import wait_until as wait

from app.stores.files import MIN_FREE_BYTES
from lens import artifact, model_cache

READY_AGAIN = 5.0
"""Seconds in which the service must be ready again by itself."""
NO_ROOM = "MoleLens cannot keep results just now"


@dataclass
class Site:
    """gunicorn with two workers, their Redis, and a model and a cache of their own."""

    server: Gunicorn
    stack: ExitStack
    redis_socket: Path
    redis: subprocess.Popen[bytes]
    model: Path
    cache: Path

    def kill_redis(self) -> None:
        self.redis.kill()
        self.redis.wait()

    def start_redis(self) -> None:
        self.redis = self.stack.enter_context(redis_server(self.redis_socket))

    def signal(self, number: int) -> None:
        self.server.process.send_signal(number)

    def model_served(self) -> str:
        return str(json.loads(self.server.get("/readyz"))["model"]["sha256"])


@pytest.fixture(scope="module")
def whole_site(
    tiny_model: Path, engine_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    model, cache = folder / "model.h5", folder / "cache"
    model_cache.converted(tiny_model, engine_cache)
    shutil.copy(tiny_model, model)
    shutil.copytree(engine_cache, cache)
    with ExitStack() as stack:
        store = stack.enter_context(redis_server(folder / "redis.sock"))
        settings = {
            **settings_for(model, cache, folder),
            "MOLELENS_RESULTS": f"unix://{folder}/redis.sock",
            "MOLELENS_WORKERS": "2",
        }
        server = stack.enter_context(gunicorn(settings, folder / "gunicorn.log"))
        yield Site(server, stack, folder / "redis.sock", store, model, cache)


@pytest.fixture
def site(whole_site: Site) -> Site:
    """The site, mended from what another test has broken, so that the order does not matter."""
    if whole_site.redis.poll() is not None:
        whole_site.start_redis()
    wait(lambda: len(whole_site.server.workers()) == 2 and whole_site.server.settled())
    return whole_site


def is_ready_again(server: Gunicorn) -> None:
    # A machine that is too busy to start it in half of that time gets twice that time.
    took = wait(server.ready, max(READY_AGAIN, 2 * server.started_s))
    print(f"ready again after {took:.1f} s; a start took {server.started_s:.1f} s")


def nothing_was_lost(crowd: Crowd) -> bool:
    """All that was accepted is shown, each to its own person, and no one was turned away."""
    return (crowd.statuses(), crowd.mixed_up, crowd.refused, crowd.broken_off) == (
        {200},
        [],
        [],
        [],
    )


class SlowUpload:
    """A photo of which half has arrived: a worker has the request in hand."""

    def __init__(self, server: Gunicorn) -> None:
        body, kind = form(painter.encoded(painter.lesion()))
        self._rest = body[len(body) // 2 :]
        host, port = server.url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=120)
        head = (
            f"POST /api/v1/predictions HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        self._socket.sendall(head.encode())
        assert b"100 Continue" in self._socket.recv(1000)
        self._socket.sendall(body[: len(body) // 2])

    def finish(self) -> tuple[str, dict]:
        """Send the other half; the status line and the answer."""
        self._socket.sendall(self._rest)
        with self._socket, self._socket.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
        return head.decode().splitlines()[0], json.loads(body)


def test_a_killed_worker_costs_only_what_it_had_in_hand(site):
    before = site.server.workers()
    with Crowd(site.server.url) as crowd:
        os.kill(min(before), signal.SIGKILL)
        is_ready_again(site.server)
        crowd.wait_for_more()
    wait(lambda: len(site.server.workers() - before) == 1)
    # What it was counting as in work is not in work for ever.
    wait(lambda: "molelens_in_work 0.0" in site.server.get("/metrics"))
    assert len(crowd.broken_off) <= len(crowd.people)
    assert crowd.refused == []
    assert crowd.statuses() == {200}
    assert crowd.mixed_up == []


def test_while_redis_is_away_photos_are_refused_in_words_and_then_taken_again(site):
    with Crowd(site.server.url) as crowd:
        site.kill_redis()
        wait(lambda: len(crowd.refused) >= 3)
        assert not site.server.ready()
        assert crowd.is_shown(crowd.accepted[0]) == 503  # Not "gone": that would be untrue.
        site.start_redis()
        is_ready_again(site.server)
        crowd.wait_for_more()
    assert {status for status, _ in crowd.refused} == {503}
    assert all(NO_ROOM in page for _, page in crowd.refused)
    assert crowd.broken_off == []
    # Redis keeps results in memory alone: those before are gone.
    assert crowd.statuses() == {200, 404}
    assert crowd.mixed_up == []


def test_a_worker_that_dies_while_redis_is_away_is_tried_again_until_redis_is_back(site):
    (victim, other), lines = site.server.workers(), len(site.server.said())
    site.kill_redis()
    os.kill(victim, signal.SIGKILL)
    wait(lambda: "Redis does not answer" in site.server.said()[lines:])
    assert "your photo" in site.server.get("/privacy").lower()
    site.start_redis()
    os.kill(other, signal.SIGTERM)
    wait(lambda: other not in site.server.workers())
    wait(site.server.ready)


def test_a_full_redis_refuses_in_words_and_drops_nothing(site):
    store = redis.Redis(unix_socket_path=str(site.redis_socket))
    with Crowd(site.server.url) as crowd:
        try:
            store.config_set("maxmemory", store.info("memory")["used_memory"] + 500_000)
            # What Redis reads at the moment counts as its memory: now and then one fits.
            wait(lambda: len(crowd.refused) >= 3 and not site.server.ready())
        finally:
            store.config_set("maxmemory", 0)
        is_ready_again(site.server)
        crowd.wait_for_more()
    assert all(status == 503 and NO_ROOM in page for status, page in crowd.refused)
    assert crowd.broken_off == []
    assert crowd.statuses() == {200}
    assert crowd.mixed_up == []


@pytest.mark.parametrize("content", [None, b"not a model"], ids=["missing", "damaged"])
def test_a_reload_with_a_bad_model_is_refused_and_the_old_workers_go_on(site, content):
    whole, workers, lines = site.model.read_bytes(), site.server.workers(), len(site.server.said())
    try:
        site.model.unlink()
        if content is not None:
            site.model.write_bytes(content)
        with Crowd(site.server.url) as crowd:
            site.signal(signal.SIGHUP)
            wait(lambda: "Reload refused" in site.server.said()[lines:])
            crowd.wait_for_more()
        assert f"MoleLens cannot start: {site.model}" in site.server.said()[lines:]
        assert site.server.workers() == workers
        assert nothing_was_lost(crowd)
    finally:
        site.model.write_bytes(whole)


def test_a_reload_brings_the_new_model_and_loses_no_request(site):
    before, workers = artifact.sha256(site.model), site.server.workers()
    with h5py.File(site.model, "a") as file:
        file.attrs["another"] = "file"
    after = artifact.sha256(site.model)
    for entry in [path for path in site.cache.iterdir() if path.is_dir()]:
        shutil.copytree(entry, site.cache / entry.name.replace(before, after))
    slow = SlowUpload(site.server)
    with Crowd(site.server.url) as crowd:
        site.signal(signal.SIGHUP)
        wait(lambda: len(site.server.workers() - workers) == 2)
        is_ready_again(site.server)
        crowd.wait_for_more()
        status, answer = slow.finish()
        wait(lambda: not site.server.workers() & workers)
        crowd.wait_for_more()
    assert "200" in status
    assert answer["model"]["sha256"] == before
    assert nothing_was_lost(crowd)
    assert site.model_served() == after
    metrics = site.server.get("/metrics")
    assert after in metrics
    assert before not in metrics


def test_a_damaged_copy_of_the_model_is_made_again_while_the_other_worker_serves(site):
    served = site.model_served()
    weights = next(
        p / "model.bin" for p in site.cache.iterdir() if p.name.startswith(served) and p.is_dir()
    )
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4] + b"\0\0\0\1")
    with Crowd(site.server.url) as crowd:
        os.kill(min(site.server.workers()), signal.SIGKILL)
        is_ready_again(site.server)
        crowd.wait_for_more()
    wait(
        lambda: weights.exists() and weights.read_bytes() == whole,
        model_cache.CONVERSION_TIMEOUT_SECONDS,
    )
    assert "does not match its checksums" in site.server.said()
    assert len(crowd.broken_off) <= len(crowd.people)
    assert crowd.statuses() == {200}


def test_sigterm_lets_a_photo_in_work_finish(settings, tmp_path):
    with gunicorn(settings, tmp_path / "log") as server:
        slow = SlowUpload(server)
        server.process.send_signal(signal.SIGTERM)
        wait(lambda: "Handling signal: term" in server.said())
        status, answer = slow.finish()
        assert "200" in status
        assert answer["status"] == "ok"
        assert server.process.wait(timeout=120) == 0
    assert not Path(f"/dev/shm/molelens-metrics-{server.process.pid}").exists()


# Disks that are full.


def test_full_disks_refuse_in_words_and_serve_again_when_there_is_room(
    tiny_model, engine_cache, tmp_path
):
    model_cache.converted(tiny_model, engine_cache)
    with (
        small_disk(tmp_path / "results", MIN_FREE_BYTES + 1_000_000) as results,
        small_disk(tmp_path / "cache", 1_000_000) as cache,
    ):
        shutil.copytree(engine_cache, cache, dirs_exist_ok=True)
        fill(cache)
        settings = {**settings_for(tiny_model, cache, results), "MOLELENS_WORKERS": "2"}
        with gunicorn(settings, tmp_path / "log") as server, Crowd(server.url) as crowd:
            assert json.loads(server.get("/readyz"))["engine"] == "openvino"
            wait(lambda: len(crowd.refused) >= 3)
            assert not server.ready()
            kept = set((results / "results").iterdir())
            wait(lambda: len(crowd.refused) >= 6)
            assert set((results / "results").iterdir()) == kept  # Nothing half written.
            subprocess.run(
                ["mount", "-o", f"remount,size={4 * MIN_FREE_BYTES}", str(results)], check=True
            )
            is_ready_again(server)
            crowd.wait_for_more()
            assert all(status == 503 and NO_ROOM in page for status, page in crowd.refused)
            assert crowd.broken_off == []
            assert crowd.statuses() == {200}
            assert crowd.mixed_up == []
