"""Stop gunicorn, with an explanation, if its first workers are all killed during startup.

gunicorn replaces killed workers without limit. That is right once a worker has served, because then
a photo or a temporary error was the cause. It is wrong if no worker can ever start on this
processor, or with this much memory.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

from gunicorn.errors import HaltServer

from app.server import metrics_dir
from lens import child_process

MAX_FAILED_STARTS = 3
EXIT_STATUS = 3
"""The status with which gunicorn exits when a worker fails to boot."""


def watch(server: Any) -> None:
    """In gunicorn's parent process, count the workers that end before any has served."""
    reap = server.reap_workers
    ended: list[int] = []
    signals: list[int] = []

    def reap_workers() -> None:
        before = set(server.WORKERS)
        signals.extend(_signals(before))  # Misses workers that end between this line and reap().
        try:
            reap()
        except HaltServer:  # The app could not start; its worker has logged the reason.
            if _is_running(server):
                raise
        ended.extend(before - set(server.WORKERS))
        started_once = metrics_dir.WORKER_STARTED.exists()
        if len(ended) >= MAX_FAILED_STARTS and _is_running(server) and not started_once:
            cause = "a signal; see the lines above"
            if signals:
                cause = child_process.describe_signal(signals[-1])
            print(f"MoleLens cannot start: its workers were killed by {cause}", file=sys.stderr)
            raise HaltServer(f"{len(ended)} workers ended while they started.", EXIT_STATUS)

    server.reap_workers = reap_workers


def _is_running(server: Any) -> bool:
    """Whether gunicorn is not stopping: when it stops, it closes its sockets first."""
    return bool(server.LISTENERS)


def _signals(pids: Iterable[int]) -> list[int]:
    """The signals that killed these processes, of which gunicorn has not reaped any yet."""
    signals: list[int] = []
    if not hasattr(os, "waitid"):  # On macOS it needs Python 3.13.
        return signals
    for pid in list(pids):
        try:
            state = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            continue
        if state and state.si_code in (os.CLD_KILLED, os.CLD_DUMPED):
            signals.append(state.si_status)
    return signals
