"""Stop gunicorn, with an explanation, if its first workers are all killed while they start.

gunicorn replaces each killed worker without limit. That is right once a worker has served, because
then a photo or a passing fault was the cause. It is wrong if the processor or the memory never lets
a worker start.
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
"""gunicorn's own exit status when a worker failed to boot."""


def watch(server: Any) -> None:
    """Count, in gunicorn's parent process, the workers that end before any could serve."""
    reap = server.reap_workers
    ended: list[int] = []
    signals: list[int] = []

    def reap_workers() -> None:
        before = set(server.WORKERS)
        signals.extend(_signals(before))  # Misses a worker that ends between this and reap().
        try:
            reap()
        except HaltServer:  # The app could not start, and its worker has logged why.
            if _is_running(server):
                raise
        ended.extend(before - set(server.WORKERS))
        started_once = metrics_dir.SERVED.exists()
        if len(ended) >= MAX_FAILED_STARTS and _is_running(server) and not started_once:
            cause = "a signal; see the lines above"
            if signals:
                cause = child_process.describe_signal(signals[-1])
            print(f"MoleLens cannot start: its workers were ended by {cause}", file=sys.stderr)
            raise HaltServer(f"{len(ended)} workers ended while they started.", EXIT_STATUS)

    server.reap_workers = reap_workers


def _is_running(server: Any) -> bool:
    """Whether gunicorn serves or starts; it closes its sockets first when it stops."""
    return bool(server.LISTENERS)


def _signals(pids: Iterable[int]) -> list[int]:
    """The signals that have ended these processes, which gunicorn still has to reap."""
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
