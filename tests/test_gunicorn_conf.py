"""gunicorn.conf.py: it fits the machine by itself, and the parent stays light."""

import os
import runpy
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from serving import folder_in_memory, one_worker, settings_for, wait_until

from app import results
from lens import model_cache

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = ROOT / "gunicorn.conf.py"


def configuration(monkeypatch: pytest.MonkeyPatch, cores: int = 4, **variables: str) -> Any:
    """The configuration as gunicorn would read it on a machine of ``cores`` cores."""
    for name in ("PORT", "MOLELENS_WORKERS", "MOLELENS_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    # Else on_exit would empty the folder of whoever runs the tests.
    monkeypatch.setenv("MOLELENS_RESULTS", "file:///nowhere")
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
def test_cores_are_those_the_control_groups_grant(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    files: dict[str, str],
    own_group: str,
    cores: int,
) -> None:
    usable_cores = configuration(monkeypatch)["usable_cores"]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    own = tmp_path / "own"
    own.write_text(own_group + "\n")
    assert usable_cores(tmp_path, own) == cores


def test_memory_is_cut_by_the_control_groups_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usable_bytes = configuration(monkeypatch)["usable_bytes"]
    machine = usable_bytes(tmp_path, tmp_path / "own")
    (tmp_path / "memory.max").write_text("max\n")
    assert usable_bytes(tmp_path, tmp_path / "own") == machine
    (tmp_path / "memory.max").write_text("536870912\n")
    assert usable_bytes(tmp_path, tmp_path / "own") == 2**29


@pytest.mark.parametrize(
    ("variables", "workers", "engine_threads"),
    [
        ({}, 4, ["OMP_NUM_THREADS=1"]),
        ({"MOLELENS_WORKERS": "2"}, 2, ["OMP_NUM_THREADS=2"]),
        ({"MOLELENS_WORKERS": "8"}, 8, ["OMP_NUM_THREADS=1"]),
        ({"OMP_NUM_THREADS": "3"}, 4, []),
    ],
)
def test_workers_times_engine_threads_is_the_cores(
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
def test_a_setting_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(SystemExit, match=f"{name}: expected a whole number from 1, got 'many'"):
        configuration(monkeypatch, **{name: "many"})


def metrics_folder(read: Any) -> Path:
    (pair,) = (pair for pair in read["raw_env"] if pair.startswith("PROMETHEUS_"))
    return Path(pair.partition("=")[2])


def test_what_a_killed_gunicorn_counted_is_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    read = configuration(monkeypatch)
    folder = metrics_folder(read)
    folder.mkdir()
    (folder / "gauge_livesum_1.db").touch()
    read["on_starting"](None)
    assert list(folder.iterdir()) == []
    read["on_exit"](None)
    assert not folder.exists()


def test_a_start_removes_what_killed_ones_left_and_nothing_of_one_that_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = configuration(monkeypatch)
    own = metrics_folder(read)
    killed, living = (own.with_name(f"{own.name}-{which}") for which in ("killed", "living"))
    read["on_starting"](None)
    own.rename(living)
    killed.mkdir()
    read["on_starting"](None)
    assert (killed.exists(), living.exists()) == (False, True)
    read["on_exit"](None)
    living.rmdir()


@pytest.mark.parametrize(("named", "forgotten"), [("", 1), ("file:///run/molelens/results", 0)])
def test_results_are_forgotten_at_the_end_unless_the_operator_named_their_folder(
    monkeypatch: pytest.MonkeyPatch, named: str, forgotten: int
) -> None:
    calls: list[bool] = []
    monkeypatch.setattr(results, "forget", lambda: calls.append(True))
    configuration(monkeypatch, MOLELENS_RESULTS=named)["on_exit"](None)
    assert len(calls) == forgotten


def test_a_client_that_has_sent_much_at_once_may_not_be_silent_for_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader_class = configuration(monkeypatch)["PatientReader"]
    monkeypatch.setitem(reader_class.chunk.__globals__, "PATIENCE", 0.5)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = reader_class(ours)
        reader.begin()
        theirs.sendall(bytes(100_000))  # Five seconds, were they saved up.
        left = 100_000
        while left:
            left -= len(reader.chunk(left))
        start = time.monotonic()
        assert reader.chunk() == b""
        assert time.monotonic() - start < 2


def test_the_trial_of_a_new_model_outlasts_its_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configuration(monkeypatch)["TRIAL"] > model_cache.PATIENCE


def test_gunicorn_accepts_it_without_a_flag_and_loads_no_numeric_library_in_the_parent() -> None:
    code = (
        "import sys\n"
        "from gunicorn.app.wsgiapp import WSGIApplication\n"
        "sys.argv = ['gunicorn', 'wsgi:app']\n"
        "cfg = WSGIApplication().cfg\n"
        "heavy = {'tensorflow', 'openvino', 'keras', 'numpy', 'app', 'lens'}\n"
        "print(cfg.worker_class_str, cfg.preload_app, sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "PatientWorker False []\n"


def test_a_worker_that_has_answered_gives_memory_back(
    tiny_model: Path, engine_cache: Path, tmp_path: Path
) -> None:
    lines = "_trim = lambda: print('given back', flush=True)"
    with folder_in_memory() as folder:
        settings = settings_for(tiny_model, engine_cache, folder)
        with one_worker(settings, tmp_path, lines) as server:
            server.get("/")
            before = server.said().count("given back")
            server.get("/")
            wait_until(lambda: server.said().count("given back") > before, seconds=30)
