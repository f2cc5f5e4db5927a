"""Run the app as in production: gunicorn and Redis on this machine, with results in memory."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MEMORY = Path("/dev/shm")


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A new folder in memory, removed at the end of the block."""
    path = MEMORY / f"molelens-test-{uuid.uuid4().hex[:12]}"
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def settings_for(model: Path, cache: Path, results: Path) -> dict[str, str]:
    """Settings without a rate limit: the model, the folder of its conversion, that of results."""
    return {
        "MOLELENS_MODEL": str(model),
        "MOLELENS_CACHE": str(cache),
        "MOLELENS_RESULTS": f"file://{results}",
        "MOLELENS_RATE_LIMIT": "off",
    }


def free_port() -> int:
    """A free TCP port that no outgoing connection takes before the server listens on it.

    Linux uses ports from 32768 on for outgoing connections, of which the tests make thousands.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> float:
    """Wait until the condition holds; return the seconds waited, or fail after ``seconds``."""
    start = time.monotonic()
    while True:
        holds, waited = condition(), time.monotonic() - start
        if waited > seconds:
            raise AssertionError(f"expected within {seconds:.0f} s, waited {waited:.0f} s")
        if holds:
            return waited
        time.sleep(0.05)


@dataclass
class Gunicorn:
    """A running gunicorn with the project's configuration; its start took ``start_seconds``."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path
    start_seconds: float = 0.0

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def workers(self) -> set[int]:
        """Process ids of its workers."""
        pid = self.process.pid
        return {int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def all_workers_ready(self) -> bool:
        """True if each worker has loaded the model and reports it in the metrics."""
        metrics = MEMORY / f"molelens-metrics-{self.process.pid}"
        return all((metrics / f"gauge_livemax_{pid}.db").exists() for pid in self.workers())

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=30):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return str(answer.read().decode())


@contextmanager
def gunicorn(settings: dict[str, str], log_file: Path, path: str = "") -> Iterator[Gunicorn]:
    """Run gunicorn until the block ends, then print its log, which pytest shows if a test fails.

    ``path`` is the path of the site, as set by SCRIPT_NAME.
    """
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", f"127.0.0.1:{port}"]
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("MOLELENS_")},
        **settings,
    }
    with open(log_file, "wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    server = Gunicorn(f"http://127.0.0.1:{port}{path}", process, log_file)
    try:
        start = time.monotonic()
        wait_for_process(process, server.ready)
        server.start_seconds = time.monotonic() - start
        yield server
    finally:
        process.terminate()
        process.wait(timeout=120)
        print(server.log)


@contextmanager
def one_worker(settings: dict[str, str], folder: Path, code: str) -> Iterator[Gunicorn]:
    """Run gunicorn with one worker; ``code`` runs before the project's configuration."""
    changed = {**changed_configuration(folder, code), "MOLELENS_WORKERS": "1"}
    with gunicorn({**settings, **changed}, folder / "log") as server:
        yield server


def changed_configuration(folder: Path, code: str, options: str = "") -> dict[str, str]:
    """Variables with which gunicorn runs ``code`` before the project's configuration."""
    original = str(ROOT / "gunicorn.conf.py")
    config = folder / "changed.py"
    config.write_text(f"{code}\nfrom pathlib import Path\nexec(Path({original!r}).read_text())\n")
    # A busy machine may pause a client for longer than the 2 s that gunicorn keeps a connection.
    return {"GUNICORN_CMD_ARGS": f"--config {config} --keep-alive 60 {options}"}


@contextmanager
def redis_server(socket_file: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Redis server on a Unix socket; it keeps its data in memory only."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket_file), "--save", ""]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(socket_file))
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


def redis_address(socket_file: Path) -> str:
    """The URL of a Redis server; a busy machine may pause it for longer than the app's 2 s."""
    return f"unix://{socket_file}?socket_timeout=60"


def _answers(socket_file: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(socket_file)) == 0


def wait_for_process(
    process: subprocess.Popen[bytes], condition: Callable[[], bool], seconds: float = 300
) -> None:
    """Wait until the condition holds; fail at once if the process ends before."""
    wait_until(lambda: process.poll() is not None or condition(), seconds)
    if process.poll() is not None:
        raise RuntimeError(f"{process.args} ended with {process.returncode} before it was ready")


def bytes_written_to_disk(pid: int) -> int:
    """Bytes that a process and its children have written to files on disks.

    The kernel counts pages when they become dirty, those of unnamed temporary files too, but not
    those of sockets and of files in memory.
    """
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    counts = Path(f"/proc/{pid}/io").read_text().split()
    own = int(counts[counts.index("write_bytes:") + 1])
    return own + sum(bytes_written_to_disk(int(child)) for child in children)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a file system of ``size`` bytes at ``folder``."""
    folder.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def copy_cache(cache: Path, folder: Path) -> Path:
    """Copy the cache of converted models to a folder, and return the folder.

    Conversions that another test process has not finished are left out.
    """
    unfinished = shutil.ignore_patterns(".converting-*")
    return Path(shutil.copytree(cache, folder, ignore=unfinished, dirs_exist_ok=True))


def fill_disk(folder: Path) -> Path:
    """Write a file until the file system is full; return the file."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler
