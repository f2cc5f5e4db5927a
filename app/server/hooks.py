"""gunicorn's hooks, by its own names: https://docs.gunicorn.org/en/stable/settings.html#server-hooks."""

import gc
import os
import subprocess
import sys
import time
from typing import Any

from app.server import metrics_dir
from app.server.worker import limit_heaps, trim_heap

RELOAD_TRIAL_SECONDS = 660
"""Longest trial of a new model before a reload; lens/model_cache.py may convert for 600."""

WORKER_RETRY_SECONDS = 2


def on_starting(_server: Any) -> None:
    """Before the first worker."""
    metrics_dir.make()


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
        subprocess.run(  # noqa: S603 - ourselves, no shell
            command, env=environment, timeout=RELOAD_TRIAL_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        server.log.error("Reload refused, the old workers go on serving: %s", error)
        return False
    return True


def post_fork(_server: Any, _worker: Any) -> None:
    """In a new worker."""
    limit_heaps()


def post_worker_init(_worker: Any) -> None:
    """In a worker that has loaded the app: return what only its start needed, 20 MB."""
    gc.collect()
    trim_heap()
    metrics_dir.SERVED.touch()


def post_request(worker: Any, _request: Any, _environ: Any, _response: Any) -> None:
    """In a worker that has answered."""
    worker.answered = True


def worker_exit(_server: Any, worker: Any) -> None:
    """In a worker that ends. One that cannot start where others could is tried again.

    The app ends with gunicorn's code for "stop everything" (wsgi.py), which is right at the first
    start alone: later, when Redis or the model is away while one worker is replaced, its siblings
    must go on. They do so while this one waits, so that trying costs next to nothing.
    """
    if not worker.booted and metrics_dir.SERVED.exists():
        time.sleep(WORKER_RETRY_SECONDS)
        raise SystemExit(1)


def child_exit(_server: Any, worker: Any) -> None:
    """In the parent: a worker has ended."""
    metrics_dir.forget_worker(worker.pid)


def on_exit(_server: Any) -> None:
    """All workers have ended: photos and metrics end with them."""
    try:
        # A folder that the operator named outlives a restart, and is theirs to empty.
        if not os.environ.get("MOLELENS_RESULTS"):
            _forget_results()
    finally:
        metrics_dir.remove()


def _forget_results() -> None:
    # Imported only now that nothing will be forked any more.
    from app.stores import files

    files.forget()
