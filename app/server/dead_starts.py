"""Give up where workers are killed at every start, and say why.

gunicorn starts another worker for each that a signal ends, for ever. That is right once one could
serve: then the fault was a photo's, or passes. It is not where the processor or the memory never
lets one start.
"""

import os
import sys
from collections.abc import Iterable
from typing import Any

from gunicorn.errors import HaltServer

from app.server import metrics_dir
from lens import killed

MAX_DEAD_STARTS = 3
EXIT_STATUS = 3
"""gunicorn's own for a worker that failed to boot."""


def watch(server: Any) -> None:
    """Count, in gunicorn's parent process, the workers that end before any could serve."""
    reap = server.reap_workers
    dead: list[int] = []
    signals: list[int] = []

    def reap_workers() -> None:
        before = set(server.WORKERS)
        signals.extend(_signals(before))  # One that ends between this and reap() is not told.
        try:
            reap()
        except HaltServer:  # The app could not start, and its worker has said why.
            if _is_running(server):
                raise
        dead.extend(before - set(server.WORKERS))
        if len(dead) >= MAX_DEAD_STARTS and _is_running(server) and not metrics_dir.SERVED.exists():
            why = killed.by_signal(signals[-1]) if signals else "a signal; see the lines above"
            print(f"MoleLens cannot start: its workers were ended by {why}", file=sys.stderr)
            raise HaltServer(f"{len(dead)} workers ended while they started.", EXIT_STATUS)

    server.reap_workers = reap_workers


def _is_running(server: Any) -> bool:
    """Whether gunicorn serves or starts; when it stops, its sockets go first."""
    return bool(server.LISTENERS)


def _signals(pids: Iterable[int]) -> list[int]:
    """Signals that have ended these processes, which are left for gunicorn to reap."""
    found: list[int] = []
    if not hasattr(os, "waitid"):  # macOS, before Python 3.13.
        return found
    for pid in list(pids):
        try:
            end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            continue
        if end and end.si_code in (os.CLD_KILLED, os.CLD_DUMPED):
            found.append(end.si_status)
    return found
