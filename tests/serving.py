"""What tests need to run the app as its users do: settings, memory, ports, patience."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
MEMORY = Path("/dev/shm")


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    path = MEMORY / f"molelens-test-{uuid.uuid4().hex[:12]}"
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def settings_for(model: Path, cache: Path, results: Path) -> dict[str, str]:
    return {
        "MOLELENS_MODEL": str(model),
        "MOLELENS_CACHE": str(cache),
        "MOLELENS_RESULTS": f"file://{results}",
        "MOLELENS_RATE_LIMIT": "off",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> float:
    """Wait for what must come in time; how many seconds that took."""
    start = time.monotonic()
    while True:
        came, took = condition(), time.monotonic() - start
        if took > seconds:
            raise AssertionError(f"expected within {seconds:.0f} s, waited {took:.0f} s")
        if came:
            return took
        time.sleep(0.05)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def form(photo: bytes, **fields: str) -> tuple[bytes, str]:
    """A multipart form's body and its content type."""
    edge = uuid.uuid4().hex
    head = "".join(
        f'--{edge}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in fields.items()
    )
    head += f'--{edge}\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
    body = head.encode() + photo + f"\r\n--{edge}--\r\n".encode()
    return body, f"multipart/form-data; boundary={edge}"


@dataclass
class Gunicorn:
    """Real gunicorn with its real configuration, on loopback.

    ``started_s`` is how long its start took, in seconds.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    started_s: float = 0.0

    def workers(self) -> set[int]:
        """Process ids of its workers."""
        pid = self.process.pid
        return {int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def settled(self) -> bool:
        """Each of its workers has loaded the model, and counts that it serves it."""
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

    def said(self) -> str:
        return self.log.read_text()


@contextmanager
def gunicorn(settings: dict[str, str], log: Path, below: str = "") -> Iterator[Gunicorn]:
    """Run it until the block ends; its log is printed, for pytest to show where a test fails.

    ``below`` is the path that SCRIPT_NAME names.
    """
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", f"127.0.0.1:{port}"]
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("MOLELENS_")},
        **settings,
    }
    with open(log, "wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    server = Gunicorn(f"http://127.0.0.1:{port}{below}", process, log)
    try:
        start = time.monotonic()
        wait_for_process(process, server.ready)
        server.started_s = time.monotonic() - start
        yield server
    finally:
        process.terminate()
        process.wait(timeout=40)
        print(log.read_text())


@contextmanager
def one_worker(base: dict[str, str], folder: Path, lines: str) -> Iterator[Gunicorn]:
    """Gunicorn of one worker that runs these lines of Python before it reads its configuration."""
    own = str(ROOT / "gunicorn.conf.py")
    config = folder / "changed.py"
    config.write_text(f"{lines}\nfrom pathlib import Path\nexec(Path({own!r}).read_text())\n")
    changed = {"GUNICORN_CMD_ARGS": f"--config {config}", "MOLELENS_WORKERS": "1"}
    with gunicorn({**base, **changed}, folder / "log") as server:
        yield server


@contextmanager
def redis_server(socket_file: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A real Redis server of our own, on a socket, in memory alone."""
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


def _answers(socket_file: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(socket_file)) == 0


def wait_for_process(
    process: subprocess.Popen[bytes], condition: Callable[[], bool], seconds: float = 90
) -> None:
    """Wait for what a process does in time; if it ends first, fail at once."""
    wait_until(lambda: process.poll() is not None or condition(), seconds)
    if process.poll() is not None:
        raise RuntimeError(f"{process.args} ended with {process.returncode} before it was ready")


def written_to_disk(pid: int) -> int:
    """Bytes that a process and its children sent towards a disk, whatever the file and its name.

    The kernel counts pages as they become dirty: those of temporary files without a name too, but
    neither sockets nor files in memory.
    """
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    counts = Path(f"/proc/{pid}/io").read_text().split()
    own = int(counts[counts.index("write_bytes:") + 1])
    return own + sum(written_to_disk(int(child)) for child in children)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes."""
    folder.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write until nothing more fits."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler
