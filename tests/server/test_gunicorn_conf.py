"""gunicorn.conf.py adapts to the machine, and the parent process loads no large library."""

import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from serving import ROOT, folder_in_memory, one_worker, settings_for, wait_until

from app.server import hooks, machine, metrics_dir, reading
from lens import model_cache

CONFIGURATION = ROOT / "gunicorn.conf.py"


def configuration(monkeypatch: pytest.MonkeyPatch, cores: int = 4, **variables: str) -> Any:
    """The configuration that gunicorn would read on a machine with ``cores`` cores."""
    for name in ("PORT", "MOLELENS_WORKERS", "MOLELENS_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    return runpy.run_path(str(CONFIGURATION))


@pytest.mark.parametrize(
    ("files", "own_group", "cores"),
    [
        ({}, "", 4),
        ({"cpu.max": "max 100000"}, "0::/", 4),
        ({"cpu.max": "200000 100000"}, "0::/", 2),
        ({"cpu.max": "150000 100000"}, "0::/", 2),
        ({"cpu.max": "10000 100000"}, "0::/", 1),
        ({"cpu.max": "900000 100000"}, "0::/", 4),
        ({"system.slice/cpu.max": "100000 100000"}, "0::/system.slice/molelens.service", 1),
        (
            {"a/b/cpu.max": "300000 100000", "a/cpu.max": "200000 100000"},
            "4:memory:/x\n0::/a/b",
            2,
        ),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "", 4),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, "", 3),
    ],
)
def test_usable_cores_are_limited_by_cgroups(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    files: dict[str, str],
    own_group: str,
    cores: int,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    own = tmp_path / "own"
    own.write_text(own_group + "\n")
    assert machine.usable_cores(tmp_path, own) == cores


def test_usable_memory_is_limited_by_cgroups(tmp_path: Path) -> None:
    whole = machine.usable_bytes(tmp_path, tmp_path / "own")
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.usable_bytes(tmp_path, tmp_path / "own") == whole
    (tmp_path / "memory.max").write_text("536870912\n")
    assert machine.usable_bytes(tmp_path, tmp_path / "own") == 2**29


@pytest.mark.parametrize(("megabytes", "workers"), [(300, 1), (512, 1), (900, 2), (8_000, 4)])
def test_there_are_only_as_many_workers_as_memory_allows(
    monkeypatch: pytest.MonkeyPatch, megabytes: int, workers: int
) -> None:
    monkeypatch.setattr(machine, "usable_bytes", lambda: megabytes * 1_000_000)
    assert configuration(monkeypatch)["workers"] == workers


@pytest.mark.parametrize(
    ("variables", "workers", "engine_threads"),
    [
        ({}, 4, ["OMP_NUM_THREADS=1"]),
        ({"MOLELENS_WORKERS": "2"}, 2, ["OMP_NUM_THREADS=2"]),
        ({"MOLELENS_WORKERS": "8"}, 8, ["OMP_NUM_THREADS=1"]),
        ({"OMP_NUM_THREADS": "3"}, 4, []),
    ],
)
def test_each_worker_gets_its_share_of_the_cores_for_the_engine(
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    workers: int,
    engine_threads: list[str],
) -> None:
    read = configuration(monkeypatch, **variables)
    assert read["workers"] == workers
    assert [pair for pair in read["raw_env"] if pair.startswith("OMP_")] == engine_threads


def test_the_port_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configuration(monkeypatch)["bind"] == "127.0.0.1:8000"
    assert configuration(monkeypatch, PORT="8123")["bind"] == "127.0.0.1:8123"


@pytest.mark.parametrize("name", ["PORT", "MOLELENS_WORKERS", "MOLELENS_THREADS"])
def test_the_error_for_a_setting_that_is_no_number_names_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with pytest.raises(SystemExit, match=f"{name}: expected a whole number from 1, got 'many'"):
        configuration(monkeypatch, **{name: "many"})


@pytest.fixture
def metrics_folder(monkeypatch: pytest.MonkeyPatch, memory_folder: Path) -> Path:
    """The folder of metrics for the hooks in this test, which delete no results."""
    folder = memory_folder / "molelens-metrics-1"
    monkeypatch.setattr(metrics_dir, "PARENT_FOLDER", str(memory_folder))
    monkeypatch.setattr(metrics_dir, "FOLDER", folder)
    monkeypatch.setenv("MOLELENS_RESULTS", "file:///nowhere")
    return folder


def test_workers_write_metrics_to_the_folder_that_the_parent_creates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert f"PROMETHEUS_MULTIPROC_DIR={metrics_dir.FOLDER}" in configuration(monkeypatch)["raw_env"]


def test_metrics_that_a_killed_gunicorn_left_are_discarded(metrics_folder: Path) -> None:
    metrics_folder.mkdir()
    (metrics_folder / "gauge_livesum_1.db").touch()
    hooks.on_starting(None)
    assert list(metrics_folder.iterdir()) == []
    hooks.on_exit(None)
    assert not metrics_folder.exists()


def test_a_start_removes_the_metrics_of_killed_gunicorns_but_not_of_running_ones(
    metrics_folder: Path,
) -> None:
    killed, running = (metrics_folder.with_name(f"molelens-metrics-{number}") for number in (2, 3))
    hooks.on_starting(None)
    metrics_folder.rename(running)
    killed.mkdir()
    hooks.on_starting(None)
    assert (killed.exists(), running.exists()) == (False, True)


def test_a_client_cannot_save_up_time_by_sending_fast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr(reading, "time", clock)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = reading.TimedReader(ours)
        reader.begin()
        theirs.sendall(bytes(100_000))  # Worth five seconds, if time could be saved up.
        left = 100_000
        while left:
            left -= len(reader.chunk(left))
        theirs.sendall(b"late")
        clock.monotonic = lambda: reading.READ_TIMEOUT_SECONDS
        assert reader.chunk() == b""


def test_the_check_before_a_reload_leaves_enough_time_for_a_conversion() -> None:
    assert hooks.RELOAD_CHECK_SECONDS > model_cache.CONVERSION_TIMEOUT_SECONDS


def test_gunicorn_needs_no_options_and_its_parent_process_loads_no_large_library() -> None:
    code = (
        "import sys\n"
        "from gunicorn.app.wsgiapp import WSGIApplication\n"
        "sys.argv = ['gunicorn', 'wsgi:app']\n"
        "cfg = WSGIApplication().cfg\n"
        "heavy = {'tensorflow', 'openvino', 'keras', 'numpy', 'flask', 'h5py', 'PIL'}\n"
        "print(cfg.worker_class_str, cfg.preload_app, sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "app.server.worker.TimedWorker False []\n"


def test_a_worker_returns_memory_after_a_request(
    tiny_model: Path, engine_cache: Path, tmp_path: Path
) -> None:
    code = (
        "from app.server import worker as w\n"
        "w.trim_heap = lambda: print('heap trimmed', flush=True)"
    )
    with folder_in_memory() as folder:
        settings = settings_for(tiny_model, engine_cache, folder)
        with one_worker(settings, tmp_path, code) as server:
            server.get("/")
            before = server.log.count("heap trimmed")
            server.get("/")
            wait_until(lambda: server.log.count("heap trimmed") > before)
