"""Start a web server, measure it by means of /proc, and stop it."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

START_TIMEOUT_SECONDS = 300.0
"""Longest wait for a server to be ready."""

SETTLE_SECONDS = 3.0
"""Time after a load until memory is measured."""


@dataclass(frozen=True)
class Server:
    """A running gunicorn: its port, its process, and the seconds until it was ready."""

    port: int
    process: subprocess.Popen[bytes]
    ready_s: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[int]:
        """Process ids of its workers."""
        pid = self.process.pid
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def worker_memory(self) -> list[float]:
        """PSS of each worker in MB: its own memory, and its share of the shared memory."""
        return [_pss(pid) for pid in self.workers()]

    def memory_after(self) -> list[float]:
        """The same, but after SETTLE_SECONDS, when freed memory has been returned to the system."""
        time.sleep(SETTLE_SECONDS)
        return self.worker_memory()

    @contextmanager
    def peak_memory(self) -> Iterator[list[float]]:
        """Measure the highest PSS of each worker during the block, in MB; filled at its end.

        Memory is sampled twice a second, so a short peak may be missed.
        """
        peaks: list[float] = []
        done = threading.Event()

        def watch() -> Iterator[list[float]]:
            while not done.wait(0.5):
                yield self.worker_memory()

        with ThreadPoolExecutor(1) as watcher:
            samples = watcher.submit(lambda: list(watch()))
            try:
                yield peaks
            finally:
                done.set()
            peaks.extend(max(worker) for worker in zip(*samples.result(), strict=True))

    def cpu_s(self) -> float:
        """CPU seconds that the workers have used so far."""
        ticks = 0
        for pid in self.workers():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def gunicorn(arguments: list[str], environment: dict[str, str]) -> Iterator[Server]:
    """Run gunicorn in the repository's root until the block ends.

    Raises:
        RuntimeError: it exited, or was not ready in time; the message contains its log.
    """
    port = free_port()
    store = Path(tempfile.mkdtemp(prefix="molelens-bench-", dir="/dev/shm"))
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MOLELENS_")},
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "MOLELENS_RATE_LIMIT": "off",
        "MOLELENS_RESULTS": f"file://{store}",
        **environment,
    }
    command = [sys.executable, "-m", "gunicorn", *arguments, "--bind", f"127.0.0.1:{port}"]
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log)
        try:
            if not _ready(process, port):
                log.seek(0)
                raise RuntimeError(f"{' '.join(command)} did not start:\n{log.read().decode()}")
            yield Server(port, process, time.perf_counter() - start)
        finally:
            process.terminate()
            process.wait()
            shutil.rmtree(store, ignore_errors=True)


def _ready(process: subprocess.Popen[bytes], port: int) -> bool:
    end = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
