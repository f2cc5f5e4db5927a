"""What visitors see when a part of the service fails under a steady load, and how it recovers."""

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
from crowd import COLOURS, Crowd
from serving import (
    Gunicorn,
    changed_configuration,
    copy_cache,
    fill_disk,
    gunicorn,
    redis_address,
    redis_server,
    settings_for,
    small_disk,
)
from serving import wait_until as wait

from app.stores.files import MIN_FREE_BYTES
from bench.visits import HEADERS, PREDICTIONS, Answer, form
from lens import artifact, model_cache

RECOVERY_SECONDS = 5.0
"""Time within which the service must recover by itself."""
NO_ROOM = "MoleLens cannot keep results just now"
PATIENCE = """
from app.server import reading
reading.READ_TIMEOUT_SECONDS = 600.0
"""
"""An upload may be unfinished for as long as a reload takes on a busy machine."""


@dataclass
class Site:
    """gunicorn with two workers and Redis, and copies of the model and its cache."""

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
    copy_cache(engine_cache, cache)
    with ExitStack() as stack:
        store = stack.enter_context(redis_server(folder / "redis.sock"))
        settings = {
            **settings_for(model, cache, folder),
            **changed_configuration(folder, PATIENCE, "--graceful-timeout 100"),
            "MOLELENS_RESULTS": redis_address(folder / "redis.sock"),
            "MOLELENS_WORKERS": "2",
        }
        server = stack.enter_context(gunicorn(settings, folder / "gunicorn.log"))
        yield Site(server, stack, folder / "redis.sock", store, model, cache)


@pytest.fixture
def site(whole_site: Site) -> Site:
    """The site, repaired after what another test did to it, so that the order does not matter."""
    if whole_site.redis.poll() is not None:
        whole_site.start_redis()
    wait(lambda: len(whole_site.server.workers()) == 2 and whole_site.server.all_workers_ready())
    return whole_site


def wait_until_recovered(server: Gunicorn) -> None:
    # Other processes may pause the machine, or take more of it than during the first start.
    waited = wait(server.ready, RECOVERY_SECONDS + 10 * server.start_seconds)
    print(f"recovered after {waited:.1f} s; a start took {server.start_seconds:.1f} s")


def assert_nothing_lost(crowd: Crowd) -> None:
    """Every upload was accepted, and its result is shown to the visitor who sent it."""
    assert (crowd.refused, crowd.errors) == ([], [])
    assert_results_kept(crowd)


def assert_results_kept(crowd: Crowd) -> None:
    assert crowd.photo_statuses() == {200}
    assert crowd.mixed_up == []


def assert_refused_for_lack_of_room(answers: list[Answer]) -> None:
    assert {answer.status for answer in answers} == {503}
    assert all(NO_ROOM in answer.text for answer in answers)


class SlowUpload:
    """An upload of which half has arrived, so that a worker is busy with it."""

    def __init__(self, server: Gunicorn) -> None:
        body = form(painter.encoded(painter.lesion()))
        self._rest = body[len(body) // 2 :]
        host, port = server.url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=120)
        head = (
            f"POST {PREDICTIONS} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: {HEADERS['Content-Type']}\r\n"
            "Expect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        self._socket.sendall(head.encode())
        assert b"100 Continue" in self._socket.recv(1000)
        self._socket.sendall(body[: len(body) // 2])

    def finish(self) -> tuple[str, dict]:
        """Send the other half; return the status line and the body of the answer."""
        self._socket.sendall(self._rest)
        with self._socket, self._socket.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
        return head.decode().splitlines()[0], json.loads(body)


def test_a_killed_worker_loses_only_the_requests_it_was_handling(site):
    before = site.server.workers()
    with Crowd(site.server.url) as crowd:
        os.kill(min(before), signal.SIGKILL)
        wait_until_recovered(site.server)
        crowd.wait_for_uploads()
    wait(lambda: len(site.server.workers() - before) == 1)
    # The requests it was handling are no longer counted as being judged.
    wait(lambda: "molelens_in_work 0.0" in site.server.get("/metrics"))
    assert len(crowd.errors) <= len(COLOURS)
    assert crowd.refused == []
    assert_results_kept(crowd)


def test_without_redis_photos_are_refused_with_a_reason_until_it_is_back(site):
    with Crowd(site.server.url) as crowd:
        site.kill_redis()
        wait(lambda: len(crowd.refused) >= 3)
        wait(lambda: not site.server.ready())
        assert crowd.photo_status(crowd.accepted[0]) == 503  # Not "gone", which would be untrue.
        site.start_redis()
        wait_until_recovered(site.server)
        crowd.wait_for_uploads()
    assert_refused_for_lack_of_room(crowd.refused)
    assert crowd.errors == []
    # Redis keeps results in memory only, so the earlier ones are gone.
    assert crowd.photo_statuses() == {200, 404}
    assert crowd.mixed_up == []


def test_a_worker_that_dies_while_redis_is_down_is_restarted_until_redis_is_back(site):
    (victim, other), lines = site.server.workers(), len(site.server.log)
    site.kill_redis()
    os.kill(victim, signal.SIGKILL)
    wait(lambda: "Redis does not answer" in site.server.log[lines:])
    assert "your photo" in site.server.get("/privacy").lower()
    site.start_redis()
    os.kill(other, signal.SIGTERM)
    wait(lambda: other not in site.server.workers())
    wait(site.server.ready)


def test_with_a_full_redis_photos_are_refused_with_a_reason_and_no_result_is_lost(site):
    store = redis.Redis(unix_socket_path=str(site.redis_socket))
    with Crowd(site.server.url) as crowd:
        try:
            store.config_set("maxmemory", store.info("memory")["used_memory"] + 500_000)
            # What Redis is reading counts as its memory, so now and then a result fits.
            wait(lambda: len(crowd.refused) >= 3 and not site.server.ready())
        finally:
            store.config_set("maxmemory", 0)
        wait_until_recovered(site.server)
        crowd.wait_for_uploads()
    assert_refused_for_lack_of_room(crowd.refused)
    assert crowd.errors == []
    assert_results_kept(crowd)


@pytest.mark.parametrize("content", [None, b"not a model"], ids=["missing", "damaged"])
def test_a_reload_with_a_bad_model_is_refused_and_the_old_workers_continue(site, content):
    whole, workers, lines = site.model.read_bytes(), site.server.workers(), len(site.server.log)
    try:
        site.model.unlink()
        if content is not None:
            site.model.write_bytes(content)
        with Crowd(site.server.url) as crowd:
            site.signal(signal.SIGHUP)
            wait(lambda: "Reload refused" in site.server.log[lines:])
            crowd.wait_for_uploads()
        assert f"MoleLens cannot start: {site.model}" in site.server.log[lines:]
        assert site.server.workers() == workers
        assert_nothing_lost(crowd)
    finally:
        site.model.write_bytes(whole)


def test_a_reload_serves_the_new_model_and_loses_no_request(site):
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
        wait_until_recovered(site.server)
        crowd.wait_for_uploads()
        status, answer = slow.finish()
        wait(lambda: not site.server.workers() & workers)
        crowd.wait_for_uploads()
    assert "200" in status
    assert answer["model"]["sha256"] == before
    assert_nothing_lost(crowd)
    assert site.model_served() == after
    # gunicorn removes the metrics of a worker a moment after it has ended.
    wait(lambda: before not in site.server.get("/metrics"))
    assert after in site.server.get("/metrics")


def test_a_damaged_converted_model_is_converted_again_while_the_other_worker_serves(site):
    served = site.model_served()
    weights = next(
        p / "model.bin" for p in site.cache.iterdir() if p.name.startswith(served) and p.is_dir()
    )
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-4] + b"\0\0\0\1")

    def is_whole() -> bool:
        try:
            return weights.read_bytes() == whole
        except FileNotFoundError:  # It is being replaced.
            return False

    with Crowd(site.server.url) as crowd:
        os.kill(min(site.server.workers()), signal.SIGKILL)
        wait_until_recovered(site.server)
        crowd.wait_for_uploads()
    wait(is_whole, model_cache.CONVERSION_TIMEOUT_SECONDS)
    assert "does not match its checksums" in site.server.log
    assert len(crowd.errors) <= len(COLOURS)
    assert_results_kept(crowd)


def test_sigterm_lets_a_photo_in_progress_finish(settings, tmp_path):
    with gunicorn(settings, tmp_path / "log") as server:
        slow = SlowUpload(server)
        server.process.send_signal(signal.SIGTERM)
        wait(lambda: "Handling signal: term" in server.log)
        status, answer = slow.finish()
        assert "200" in status
        assert answer["status"] == "ok"
        assert server.process.wait(timeout=120) == 0
    assert not Path(f"/dev/shm/molelens-metrics-{server.process.pid}").exists()


# Full disks.


def test_with_full_disks_photos_are_refused_with_a_reason_until_there_is_room(
    tiny_model, engine_cache, tmp_path
):
    model_cache.converted(tiny_model, engine_cache)
    with (
        small_disk(tmp_path / "results", MIN_FREE_BYTES + 1_000_000) as results,
        small_disk(tmp_path / "cache", 1_000_000) as cache,
    ):
        copy_cache(engine_cache, cache)
        fill_disk(cache)
        settings = {**settings_for(tiny_model, cache, results), "MOLELENS_WORKERS": "2"}
        with gunicorn(settings, tmp_path / "log") as server:
            assert json.loads(server.get("/readyz"))["engine"] == "openvino"
            with Crowd(server.url) as crowd:
                # By the last of these, every upload that found room has been stored.
                wait(lambda: len(crowd.refused) >= 12)
                wait(lambda: not server.ready())
                kept, refused = set((results / "results").iterdir()), len(crowd.refused)
                wait(lambda: len(crowd.refused) >= refused + 3)
                assert set((results / "results").iterdir()) == kept  # No file is half written.
                subprocess.run(
                    ["mount", "-o", f"remount,size={4 * MIN_FREE_BYTES}", str(results)], check=True
                )
                wait_until_recovered(server)
                crowd.wait_for_uploads()
                assert_refused_for_lack_of_room(crowd.refused)
                assert crowd.errors == []
                assert_results_kept(crowd)
