"""gunicorn's hooks, under the names it requires: https://docs.gunicorn.org/en/stable/settings.html#server-hooks."""

import gc
import os
import subprocess
import sys
import time
from typing import Any

from app.server import failed_starts, metrics_dir
from app.server.worker import limit_heaps, trim_heap

RELOAD_CHECK_SECONDS = 660
"""Time limit for the check before a reload, in which converting the model may take 600 s."""

WORKER_RETRY_SECONDS = 2


def on_starting(_server: Any) -> None:
    """Create the metrics folder before gunicorn starts workers."""
    metrics_dir.create()


def when_ready(server: Any) -> None:
    """Install our checks in gunicorn's parent process."""
    failed_starts.watch(server)
    _check_before_reload(server)


def _check_before_reload(server: Any) -> None:
    """Let SIGHUP replace the workers only if new ones can start.

    gunicorn stops the old workers immediately, and stops itself if a new one cannot start. So a
    reload with a damaged model would stop the service.
    """
    reload = server.handle_hup

    def handle_hup() -> None:
        if _would_start(server):
            reload()

    server.handle_hup = handle_hup


def _would_start(server: Any) -> bool:
    """Load the app in a child process, which also converts a new model and reports errors."""
    command = [sys.executable, "-m", "gunicorn", "--check-config", *sys.argv[1:]]
    # The metrics of the child process must not be counted.
    environment = dict(os.environ)
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    server.log.info("Reload: checking the new configuration and model first")
    try:
        subprocess.run(  # noqa: S603 - our own command, no shell
            command, env=environment, timeout=RELOAD_CHECK_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        server.log.error("Reload refused, the old workers continue to serve: %s", error)
        return False
    return True


def post_fork(_server: Any, _worker: Any) -> None:
    """Limit the memory of a new worker."""
    limit_heaps()


def post_worker_init(_worker: Any) -> None:
    """Free the 20 MB that were needed only to load the app."""
    gc.collect()
    trim_heap()
    metrics_dir.WORKER_STARTED.touch()


def post_request(worker: Any, _request: Any, _environ: Any, _response: Any) -> None:
    """Record that a request has used memory."""
    worker.answered = True


def worker_exit(_server: Any, worker: Any) -> None:
    """Let gunicorn retry a worker that could not start, if another one has started before.

    wsgi.py exits with the status that makes gunicorn stop, which is right only for the first
    workers. If Redis or the model is unavailable while one worker is replaced, the others must
    continue. The pause keeps retries cheap.
    """
    if not worker.booted and metrics_dir.WORKER_STARTED.exists():
        time.sleep(WORKER_RETRY_SECONDS)
        raise SystemExit(1)


def child_exit(_server: Any, worker: Any) -> None:
    """Remove the gauges of a worker that has ended."""
    metrics_dir.remove_gauges(worker.pid)


def on_exit(_server: Any) -> None:
    """Delete results and metrics when gunicorn ends."""
    try:
        # A folder that the operator has chosen keeps its results over a restart.
        if not os.environ.get("MOLELENS_RESULTS"):
            # Imported only here, when no more processes are forked.
            from app.stores import files

            files.delete_results()
    finally:
        metrics_dir.remove()
