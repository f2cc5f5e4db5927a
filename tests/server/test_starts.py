"""Failed starts: MoleLens exits by itself, with one line that says why."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from serving import ROOT, copy_cache, free_port, gunicorn

from app.server import failed_starts
from app.settings import Settings, StartError
from app.stores import files, open_store
from lens import child_process, model_cache

SITECUSTOMIZE = """
import importlib.machinery, os, pathlib, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}" and len(os.listdir({log!r})) < {times}:
            return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        (pathlib.Path({log!r}) / str(os.getpid())).touch()
        os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Finder())
"""


def kill_on_import(folder: Path, module: str, number: int, times: int = 1000) -> dict[str, str]:
    """Variables with which Python kills itself on importing ``module``, at most ``times`` times."""
    log = folder / "killed"
    log.mkdir()
    values = {"module": module, "number": int(number), "times": times, "log": str(log)}
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE.format(**values))
    return {"PYTHONPATH": str(folder)}


def start(settings: dict[str, str], **changed: str) -> subprocess.CompletedProcess[str]:
    """Run gunicorn until it exits by itself."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", address]
    environment = {**os.environ, **settings, **changed}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


CAUSES = {
    signal.SIGILL: "AVX",
    signal.SIGABRT: "a library aborted",
    signal.SIGKILL: "ran out of memory",
}


@pytest.mark.parametrize(
    ("number", "cause"), CAUSES.items(), ids=[number.name for number in CAUSES]
)
def test_if_the_converter_is_killed_no_other_worker_starts_it_again(
    settings, tmp_path, number, cause
):
    settings["MOLELENS_CACHE"] = str(tmp_path / "cache")
    run = start(
        {**settings, **kill_on_import(tmp_path, "tensorflow", number)}, MOLELENS_WORKERS="1"
    )
    (line,) = [x for x in run.stderr.splitlines() if x.startswith("MoleLens cannot start")]
    assert f"was killed by {number.name}: " in line
    assert cause in line
    assert run.returncode != 0
    assert run.stderr.count("Booting worker") == 1


@pytest.mark.parametrize(
    ("workers", "number"),
    [("1", signal.SIGILL), ("1", signal.SIGABRT), ("2", signal.SIGKILL)],
    ids=["1-SIGILL", "1-SIGABRT", "2-SIGKILL"],
)
def test_gunicorn_gives_up_if_workers_are_killed_at_every_start(
    settings, tmp_path, workers, number
):
    variables = {**settings, **kill_on_import(tmp_path, "openvino", number)}
    run = start(variables, MOLELENS_WORKERS=workers)
    (line,) = [x for x in run.stderr.splitlines() if x.startswith("MoleLens cannot start")]
    assert f"killed by {number.name}: " in line
    assert CAUSES[number] in line
    assert run.returncode == failed_starts.EXIT_STATUS
    assert run.stderr.count("Booting worker") <= failed_starts.MAX_FAILED_STARTS + 1
    assert "Traceback" not in run.stderr


def test_a_worker_that_is_killed_once_during_startup_is_replaced(settings, tmp_path):
    variables = {**settings, **kill_on_import(tmp_path, "openvino", signal.SIGKILL, times=1)}
    with gunicorn({**variables, "MOLELENS_WORKERS": "1"}, tmp_path / "log") as server:
        assert server.log.count("Booting worker") == 2


def test_several_workers_with_a_bad_model_exit_without_a_traceback(settings):
    run = start(settings, MOLELENS_MODEL="/nowhere.h5", MOLELENS_WORKERS="4")
    assert run.returncode == 4
    assert "MoleLens cannot start: /nowhere.h5" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_signal_without_a_known_cause_is_reported_as_a_crash():
    assert child_process.describe_signal(signal.SIGSEGV) == "SIGSEGV: a library crashed"
    assert child_process.describe_signal(99) == "signal 99: a library crashed"


def test_without_shared_memory_the_error_says_which_setting_to_change(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "SHARED_MEMORY", tmp_path / "shm")
    with pytest.raises(StartError) as error:
        open_store(Settings(results=f"file://{tmp_path}/shm/molelens-501"))
    assert not (tmp_path / "shm").exists()
    for words in ("MOLELENS_RESULTS", "redis://", "file:///", "tmpfs"):
        assert words in str(error.value)


MACOS_MOUNTS = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
tmpfs on /Users/a/Ram Disk (1) (tmpfs, local, nodev, nosuid, noowners, mounted by a)
"""


def test_memory_and_disks_are_distinguished_on_macos():
    assert files.mounted_on_macos(MACOS_MOUNTS)[0] == ("/", "apfs")
    assert files.mounted_on_macos(MACOS_MOUNTS)[-1] == ("/Users/a/Ram Disk (1)", "tmpfs")


# Network file systems without locks.


ERRORS_OF_FLOCK = {"ENOLCK": "37", "ENOSYS": "38", "EOPNOTSUPP": "95"}


@pytest.mark.parametrize("number", ERRORS_OF_FLOCK.values(), ids=ERRORS_OF_FLOCK)
def test_a_model_on_a_file_system_without_locks_is_served(
    settings, tmp_path, tiny_model, engine_cache, without_locks, number
):
    model_cache.converted(tiny_model, engine_cache)
    shutil.copy(tiny_model, tmp_path / "model.h5")
    copy_cache(engine_cache, tmp_path / "cache")
    settings["MOLELENS_MODEL"] = str(tmp_path / "model.h5")
    settings["MOLELENS_CACHE"] = str(tmp_path / "cache")
    changed = {"LD_PRELOAD": str(without_locks), "NOLOCK": str(tmp_path), "NOLOCK_ERRNO": number}
    with gunicorn({**settings, **changed}, tmp_path / "log") as server:
        assert "openvino" in server.get("/readyz")


def test_a_model_is_converted_on_a_file_system_without_locks(
    settings, tmp_path, tiny_model, without_locks
):
    shutil.copy(tiny_model, tmp_path / "model.h5")
    settings["MOLELENS_MODEL"] = str(tmp_path / "model.h5")
    settings["MOLELENS_CACHE"] = str(tmp_path / "cache")
    changed = {"LD_PRELOAD": str(without_locks), "NOLOCK": str(tmp_path), "NOLOCK_ERRNO": "37"}
    settings["MOLELENS_WORKERS"] = "1"
    with gunicorn({**settings, **changed}, tmp_path / "log") as server:
        assert "openvino" in server.get("/readyz")
        assert "without locks" in server.log
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_a_damaged_model_on_a_file_system_without_locks_is_reported_as_damaged(
    settings, tmp_path, without_locks
):
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000))
    changed = {"LD_PRELOAD": str(without_locks), "NOLOCK": str(tmp_path), "NOLOCK_ERRNO": "37"}
    run = start(settings, MOLELENS_MODEL=str(tmp_path / "model.h5"), **changed)
    assert "not an HDF5 file, or a damaged one" in run.stderr
    assert run.returncode == 4
