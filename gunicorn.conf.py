"""How gunicorn serves MoleLens; it reads this file by itself: ``gunicorn wsgi:app``.

Flags and GUNICORN_CMD_ARGS override what stands here; PORT, MOLELENS_WORKERS and MOLELENS_THREADS
(docs/settings.md) set the three numbers that machines differ in. Nothing of the app is imported:
the process that reads this forks the workers, and TensorFlow must never be in it.
"""

import ctypes
import fcntl
import gc
import math
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

WORKER_BYTES = 256 * 2**20
"""Memory to count for a worker: 120 MB resting, and a 40-megapixel photo while it is decoded."""
M_ARENA_MAX = -8
"""From malloc.h of glibc."""

PATIENCE = 30.0
"""Seconds in which a request must have come, headers and body, and a second more for every"""
BYTES_A_SECOND = 20_000
"""so many bytes, as with Apache's RequestReadTimeout (deploy/apache/molelens.conf). No client is
ever waited for longer than PATIENCE from now: what it sent fast buys it no silence later."""

TRIAL = 660
"""Longest trial of a new model before a reload, in seconds; converting it may take 600
(lens/model_cache.py)."""

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = CGROUPS, own: Path = OWN_GROUP) -> int:
    """Cores this process may use: CPU affinity, cut by quotas of its control groups; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    # "150000 100000" is one and a half core; "max 100000" is no quota.
    quotas = [text.split() for text in _limits("cpu.max", cgroups, own)]
    quotas.append([_read(cgroups / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period")])
    for quota, period in quotas:
        if quota.isdecimal():
            cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def usable_bytes(cgroups: Path = CGROUPS, own: Path = OWN_GROUP) -> int:
    """Memory this process may use: the machine's, cut by limits of its control groups."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [*_limits("memory.max", cgroups, own)]
    limits.append(_read(cgroups / "memory" / "memory.limit_in_bytes"))
    return min([machine, *(int(limit) for limit in limits if limit.isdecimal())])


def _limits(name: str, cgroups: Path, own: Path) -> list[str]:
    """What version 2 says in this process's own group and in every group around it."""
    path = next((line[3:] for line in _read(own).splitlines() if line.startswith("0::")), "/")
    group = cgroups / path.lstrip("/")
    folders = [folder for folder in (group, *group.parents) if folder.is_relative_to(cgroups)]
    return [text for folder in folders if (text := _read(folder / name))]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise SystemExit(f"{name}: expected a whole number from 1, got {text!r}.")
    return int(text)


# This machine only: on the open internet, Apache stands in front (deploy/).
bind = f"127.0.0.1:{_number('PORT', 8000)}"

# One process per core: the Python part of a request then holds up nobody else's, and one crash in
# an image decoder ends one process. Fewer where memory is short.
_cores = usable_cores()
workers = _number("MOLELENS_WORKERS", max(1, min(_cores, usable_bytes() // WORKER_BYTES)))

# Each process's share of the cores for the network: workers x engine threads = cores. More would
# only make them wait for each other.
raw_env = (
    [] if "OMP_NUM_THREADS" in os.environ else [f"OMP_NUM_THREADS={max(1, _cores // workers)}"]
)

# Threads, since decoding and the network let go of the GIL, and a photo that arrives slowly then
# holds a thread, not a process. Many more than may be in work or waiting (MOLELENS_AT_ONCE +
# MOLELENS_WAITING, 14 by default): the surplus is there to answer 503 at once.
# gunicorn itself would wait for ever on a client that sends a byte now and then, a thread each. As
# many slow clients as there are threads can still hold up the others for PATIENCE; behind Apache
# (deploy/) they cannot.


class PatientReader(SocketUnreader):
    """Reads a request while its client keeps up; then it is as if the client had hung up."""

    max_body_chunk = 2**18  # Of a body, in bytes: as many as the app asks for (app/incoming.py).

    def begin(self) -> None:
        """From now on counts the time of the next request."""
        self._end = time.monotonic() + PATIENCE

    def chunk(self, size_hint: int | None = None) -> bytes:
        """The next piece, b"" when there is none or it is too late."""
        arrival = select.poll()
        arrival.register(self.sock, select.POLLIN)
        left = self._end - time.monotonic()
        if left <= 0 or not arrival.poll(left * 1000):
            return b""
        data: bytes = super().chunk(size_hint)
        earned = self._end + len(data) / BYTES_A_SECOND
        self._end = min(earned, time.monotonic() + PATIENCE)
        return data


class PatientWorker(ThreadWorker):
    """gunicorn's threaded worker, hanging up on clients too slow to be people.

    While it serves, it gives back once a second what past photos took: after 32 clients with
    12 megapixels it holds 115 MB (PSS) so, and kept 175 without.
    """

    answered = False  # A request, since memory was given back.
    _next = 0.0

    def notify(self) -> None:
        """The heartbeat: at every event, and every second where there is none."""
        super().notify()
        now = time.monotonic()
        if self.answered and now > self._next:
            self.answered, self._next = False, now + 1
            _trim()

    def handle(self, conn: TConn) -> Any:
        """Handle a request of a connection, in a thread."""
        # A client that has sent nothing yet goes back to the loop and costs no thread.
        if conn.initialized or conn.data_ready or conn.wait_for_data(1.0):
            conn.data_ready = True
            conn.init()
            if not isinstance(conn.parser.unreader, PatientReader):
                conn.parser.unreader = PatientReader(conn.sock)
            conn.parser.unreader.begin()
        return super().handle(conn)


worker_class = PatientWorker
threads = _number("MOLELENS_THREADS", 64)

# The app is loaded in each worker, never in the parent: a process that forks with TensorFlow or
# OpenVINO loaded hands its children locks that nobody will release.
preload_app = False


def post_fork(_server: Any, _worker: Any) -> None:
    """In a new worker: let its threads share two heaps, where glibc would give each its own.

    After 32 clients with 12-megapixel photos, a worker held 160 MB (PSS) so, and 280 MB without.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # Not every C library has heaps to limit.
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 2)


def post_request(worker: Any, _request: Any, _environ: Any, _response: Any) -> None:
    """In a worker that has answered."""
    worker.answered = True


def _trim() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own.
    if trim is not None:
        trim(0)


# The heartbeat of a threaded worker begins once the app is loaded, and does not stop for a long
# request: this ends a worker whose loop hangs, and never a slow conversion of the model.
timeout = 180

# A photo in work takes under a second; one still arriving from a slow phone gets this long.
graceful_timeout = 30

# Heartbeats and metrics are writes to files; on a slow disk they would block the worker.
_memory = "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()  # noqa: S108
worker_tmp_dir = _memory

# Each worker counts into a file here, and whichever is asked for /metrics adds them up.
_metrics = f"{_memory}/molelens-metrics-{os.getpid()}"
raw_env.append(f"PROMETHEUS_MULTIPROC_DIR={_metrics}")

# Beside them, made by the first worker that could serve.
_served = f"{_metrics}/served"


def on_starting(_server: Any) -> None:
    """Before the first worker: make the folder of the metrics, for this user alone."""
    for folder in Path(_memory).glob("molelens-metrics-*"):
        _remove_if_left(folder)
    # Locked, and only then found by others: the lock is this process's and its workers', and is
    # gone with the last of them.
    fresh = tempfile.mkdtemp(prefix=".molelens-metrics-", dir=_memory)
    fcntl.flock(os.open(fresh, os.O_RDONLY), fcntl.LOCK_SH)
    os.rename(fresh, _metrics)


def _remove_if_left(folder: Path) -> None:
    """What a killed gunicorn left; a living one's, also of another container, is locked."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # Another user's, or gone.
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)


def when_ready(server: Any) -> None:
    """Let SIGHUP replace the workers only where new ones could start.

    gunicorn stops the old workers at once, and itself when a new one cannot start: a reload with a
    damaged model would end the service.
    """
    reload = server.handle_hup

    def handle_hup() -> None:
        if _would_start(server):
            reload()

    server.handle_hup = handle_hup


def _would_start(server: Any) -> bool:
    """Ask a process of its own; it also converts a new model, and says on stderr what is wrong."""
    command = [sys.executable, "-m", "gunicorn", "--check-config", *sys.argv[1:]]
    # What it counts is nobody's.
    environment = {n: text for n, text in os.environ.items() if n != "PROMETHEUS_MULTIPROC_DIR"}
    server.log.info("Reload: trying the new configuration and model first")
    try:
        subprocess.run(command, env=environment, timeout=TRIAL, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        server.log.error("Reload refused, the old workers go on serving: %s", error)
        return False
    return True


def post_worker_init(_worker: Any) -> None:
    """In a worker that has loaded the app: return what only its start needed, 20 MB."""
    gc.collect()
    _trim()
    Path(_served).touch()


def worker_exit(_server: Any, worker: Any) -> None:
    """In a worker that ends. One that cannot start where others could is tried again.

    The app ends with gunicorn's code for "stop everything" (wsgi.py), which is right at the first
    start alone: later, when Redis or the model is away while one worker is replaced, its siblings
    must go on. They do so while this one waits, so that trying costs next to nothing.
    """
    if not worker.booted and os.path.exists(_served):
        time.sleep(2)
        raise SystemExit(1)


def child_exit(_server: Any, worker: Any) -> None:
    """A worker has ended: its gauges (photos in work, the model) end with it, its counts stay."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid, _metrics)


def on_exit(_server: Any) -> None:
    """All workers have ended: photos and metrics end with them."""
    try:
        # A folder that the operator named outlives a restart, and is theirs to empty.
        if not os.environ.get("MOLELENS_RESULTS"):
            _forget_results()
    finally:
        shutil.rmtree(_metrics, ignore_errors=True)


def _forget_results() -> None:
    # Imported only now that nothing will be forked any more.
    from app import results

    results.forget()


# Ours are far smaller: a route and an id, a browser's usual headers.
limit_request_line = 2048
limit_request_fields = 64
limit_request_field_size = 8190

# Signals and systemd steer gunicorn; a second door (new in gunicorn 25) is not needed.
control_socket_disable = True

# Which photo came when is nobody's business; the app logs requests itself, without addresses.
accesslog = None
