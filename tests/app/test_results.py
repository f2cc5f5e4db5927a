"""Results are kept in memory, for their lifetime and no longer."""

import fcntl
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import painter
import pytest
import redis
from serving import redis_address, redis_server
from visitor import predict

from app import results
from app.results import Result, Results, StoreUnavailable
from app.settings import Settings, StartError
from app.stores import files, open_store
from app.stores.files import FileResults


def make_result(**changes) -> Result:
    defaults = {
        "verdict": "malignant",
        "probability": 0.62,
        "threshold": 0.31,
        "reasons": (),
        "photo": b"photo",
        "heat_map": b"map",
        "created": time.time(),
        "model": "tiny",
        "sha256": "0" * 64,
        "calibrated": True,
        "kind": "clinical",
        "melanomas_found": 0.9,
        "sensitivity": 0.88,
        "specificity": None,
    }
    return Result(**{**defaults, **changes})


@pytest.fixture(params=["files", "redis"])
def store(request, memory_folder) -> Results:
    if request.param == "files":
        return open_store(Settings(results=f"file://{memory_folder}")).results
    return open_store(Settings(results=request.getfixturevalue("redis_url"))).results


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory) -> Iterator[str]:
    socket = tmp_path_factory.mktemp("redis") / "redis.sock"
    with redis_server(socket):
        yield redis_address(socket)


def test_a_stored_result_is_returned_unchanged(store):
    result = make_result()
    assert store.get(store.put(result)) == result


def test_ids_are_unguessable_and_unique(store):
    ids = {store.put(make_result()) for _ in range(20)}
    assert len(ids) == 20
    assert all(len(key) >= 22 for key in ids)  # 128 bits in base64.


def test_a_deleted_result_is_gone_immediately(store):
    key = store.put(make_result())
    store.delete(key)
    assert store.get(key) is None


def test_deleting_an_unknown_result_is_no_error(store):
    store.delete("nothing-of-this-name")


def test_an_expired_result_is_not_returned(store, monkeypatch):
    key = store.put(make_result())
    later = time.time() + store.lifetime + 1
    monkeypatch.setattr(results.time, "time", lambda: later)
    assert store.get(key) is None


def test_an_entry_of_another_version_is_ignored(store):
    store._cache.set("old", {"verdict": "benign"})
    assert store.get("old") is None


def test_an_expired_file_is_deleted_without_being_requested(memory_folder, monkeypatch):
    store = FileResults(memory_folder, lifetime=900, max_results=10)
    store.put(make_result())
    assert len(os.listdir(memory_folder)) == 1
    later = time.time() + 901
    monkeypatch.setattr(results.time, "time", lambda: later)
    store.sweep()
    assert os.listdir(memory_folder) == []


def test_a_full_store_refuses_new_results_and_keeps_those_it_has(memory_folder):
    store = FileResults(memory_folder, lifetime=900, max_results=3)
    keys = [store.put(make_result()) for _ in range(3)]
    with pytest.raises(StoreUnavailable, match="3 results"):
        store.put(make_result())
    assert all(store.get(key) for key in keys)


def test_results_that_no_process_uses_are_deleted(memory_folder):
    (memory_folder / "results").mkdir()
    (memory_folder / "results" / "left").write_bytes(b"photo")
    files.delete_results(f"file://{memory_folder}")
    assert os.listdir(memory_folder / "results") == []


def test_results_that_a_process_uses_are_not_deleted(memory_folder):
    store = open_store(Settings(results=f"file://{memory_folder}")).results
    key = store.put(make_result())
    files.delete_results(f"file://{memory_folder}")
    assert store.get(key)


def test_results_are_deleted_even_if_a_process_that_used_them_is_just_ending(
    memory_folder, monkeypatch
):
    monkeypatch.setattr(files, "_UNLOCK_SECONDS", 60.0)
    (memory_folder / "results").mkdir()
    (memory_folder / "results" / "left").write_bytes(b"photo")
    lock = os.open(memory_folder / "results", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    threading.Timer(0.2, os.close, [lock]).start()
    files.delete_results(f"file://{memory_folder}")
    assert os.listdir(memory_folder / "results") == []


def test_deleting_results_from_a_missing_folder_is_no_error(memory_folder):
    files.delete_results(f"file://{memory_folder}/missing")
    assert os.listdir(memory_folder) == []


def test_only_the_owner_can_read_a_result(memory_folder):
    store = FileResults(memory_folder, lifetime=900, max_results=3)
    store.put(make_result())
    (path,) = memory_folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_on_disk_is_refused(tmp_path):
    on_disk = tmp_path / "results"
    if files.file_system(tmp_path) in ("tmpfs", "ramfs"):
        on_disk = Path(__file__).parent / "results-on-disk"
    try:
        with pytest.raises(StartError, match="never written to disk"):
            open_store(Settings(results=f"file://{on_disk}"))
    finally:
        shutil.rmtree(on_disk, ignore_errors=True)


def test_a_folder_that_others_can_read_is_refused(memory_folder):
    memory_folder.chmod(0o755)
    with pytest.raises(StartError, match="0700"):
        open_store(Settings(results=f"file://{memory_folder}"))


def test_a_link_in_place_of_the_folder_is_refused(memory_folder):
    link = memory_folder / "link"
    (memory_folder / "target").mkdir(mode=0o700)
    link.symlink_to(memory_folder / "target")
    with pytest.raises(StartError, match="0700"):
        open_store(Settings(results=f"file://{link}"))


def test_workers_share_one_secret_key(memory_folder):
    keys = {open_store(Settings(results=f"file://{memory_folder}")).secret_key for _ in range(3)}
    assert len(keys) == 1
    assert stat.S_IMODE((memory_folder / "secret-key").stat().st_mode) == 0o600


def test_machines_share_one_secret_key_through_redis(redis_url):
    assert len({open_store(Settings(results=redis_url)).secret_key for _ in range(3)}) == 1


def test_backends_share_rate_limits_through_a_redis_socket(make_app, redis_url):
    photo = painter.encoded(painter.lesion())
    backends = [make_app(RESULTS=redis_url, RATE_LIMIT="1/day") for _ in range(2)]
    answers = [predict(backend.test_client(), photo).status_code for backend in backends]
    assert answers == [200, 429]


def test_the_secret_key_is_restored_after_redis_has_lost_its_data(tmp_path):
    socket = tmp_path / "redis.sock"
    with redis_server(socket):
        before = open_store(Settings(results=redis_address(socket)))
        redis.Redis(unix_socket_path=str(socket)).flushall()
        before.results.check()
        after = open_store(Settings(results=redis_address(socket)))
        assert after.secret_key == before.secret_key


def test_the_app_does_not_start_if_redis_does_not_answer():
    with pytest.raises(StartError, match="Redis does not answer"):
        open_store(Settings(results="unix:///nowhere/redis.sock"))


def test_an_unreachable_redis_is_not_mistaken_for_a_missing_result(tmp_path):
    socket = tmp_path / "redis.sock"
    with redis_server(socket):
        store = open_store(Settings(results=redis_address(socket))).results
        key = store.put(make_result())
        assert store.get(key)
    for use in (
        lambda: store.get(key),
        lambda: store.put(make_result()),
        lambda: store.delete(key),
    ):
        with pytest.raises(StoreUnavailable):
            use()
