"""The folder in which workers store their metrics, so that any worker can add them up.

It is in memory, because writing heartbeats and metrics to a slow disk would block a worker.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PARENT_FOLDER = "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()  # noqa: S108

FOLDER = Path(f"{PARENT_FOLDER}/molelens-metrics-{os.getpid()}")
"""Named after gunicorn's parent process, which imports this module before it forks."""

WORKER_STARTED = FOLDER / "worker-started"
"""An empty file, created by the first worker that could start."""


def create() -> None:
    """Create the folder, private to this user; remove those that killed gunicorns left behind."""
    for folder in Path(PARENT_FOLDER).glob("molelens-metrics-*"):
        _remove_if_unused(folder)
    # The folder is locked before it gets its name, so that no other gunicorn removes it. Workers
    # inherit the lock, which ends with the last process.
    new_folder = tempfile.mkdtemp(prefix=".molelens-metrics-", dir=PARENT_FOLDER)
    fcntl.flock(os.open(new_folder, os.O_RDONLY), fcntl.LOCK_SH)
    os.rename(new_folder, FOLDER)


def remove() -> None:
    """Remove the folder. Call it after all workers have ended."""
    shutil.rmtree(FOLDER, ignore_errors=True)


def remove_gauges(pid: int) -> None:
    """Remove an ended worker's gauges (photos being judged, the model), but not its counters."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(pid, str(FOLDER))  # type: ignore[no-untyped-call]


def _remove_if_unused(folder: Path) -> None:
    """Remove a folder unless a running gunicorn, perhaps in another container, has locked it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # It belongs to another user, or is gone.
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
