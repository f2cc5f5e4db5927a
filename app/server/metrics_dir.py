"""The folder in memory into which each worker counts, and whichever is asked adds them up.

Heartbeats and metrics are writes to files; on a slow disk they would block the worker.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()  # noqa: S108

FOLDER = Path(f"{MEMORY}/molelens-metrics-{os.getpid()}")
"""Of the gunicorn that this process is, or was forked from."""

SERVED = FOLDER / "served"
"""Made by the first worker that could serve."""


def make() -> None:
    """Make the folder, for this user alone, and remove what killed gunicorns left."""
    for folder in Path(MEMORY).glob("molelens-metrics-*"):
        _remove_if_left(folder)
    # Locked, and only then found by others: the lock is this process's and its workers', and is
    # gone with the last of them.
    fresh = tempfile.mkdtemp(prefix=".molelens-metrics-", dir=MEMORY)
    fcntl.flock(os.open(fresh, os.O_RDONLY), fcntl.LOCK_SH)
    os.rename(fresh, FOLDER)


def remove() -> None:
    """Remove the folder: all workers have ended."""
    shutil.rmtree(FOLDER, ignore_errors=True)


def forget_worker(pid: int) -> None:
    """Let a dead worker's gauges (photos in work, the model) end with it; its counts stay."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(pid, str(FOLDER))


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
