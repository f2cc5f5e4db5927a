"""gunicorn's configuration, which ``gunicorn wsgi:app`` reads automatically.

Flags and GUNICORN_CMD_ARGS override it. The environment variables PORT, MOLELENS_WORKERS and
MOLELENS_THREADS (docs/settings.md) set the values that depend on the machine.
"""

from app.server import machine, metrics_dir
from app.server.hooks import (  # noqa: F401 - gunicorn finds them by name
    child_exit,
    on_exit,
    on_starting,
    post_fork,
    post_request,
    post_worker_init,
    when_ready,
    worker_exit,
)

# Reachable from this machine only; for the internet, put Apache in front (deploy/).
bind = f"127.0.0.1:{machine.positive_integer('PORT', 8000)}"

workers = machine.positive_integer("MOLELENS_WORKERS", machine.default_workers())
worker_class = "app.server.worker.TimedWorker"

# Decoding and the network release the GIL, and a slow upload blocks only a thread. There are more
# threads than photos being judged or waiting, so that further requests are answered 503
# immediately; app/settings.py checks that.
threads = machine.positive_integer("MOLELENS_THREADS", machine.THREADS)

# The app must not be loaded before the fork (app/server/__init__.py says why).
preload_app = False

raw_env = [
    *machine.engine_threads(workers),
    f"PROMETHEUS_MULTIPROC_DIR={metrics_dir.FOLDER}",
]
worker_tmp_dir = metrics_dir.PARENT_FOLDER

# Seconds after which a worker whose event loop hangs is killed. Loading the app, converting a model
# and long requests do not count: the heartbeat starts when the app is loaded, and requests run in
# other threads.
timeout = 180

# Seconds. Processing a photo takes less than one; uploading it from a slow phone may take longer.
graceful_timeout = 30

# Bytes, except for the number of fields. Our requests are far smaller.
limit_request_line = 2048
limit_request_fields = 64
limit_request_field_size = 8190

# Clients must not choose the path under which the site is served; SCRIPT_NAME sets it.
forwarder_headers = ""

# gunicorn is controlled by signals and systemd only.
control_socket_disable = True

# The app itself logs requests, without addresses.
accesslog = None
