"""How gunicorn serves MoleLens; it reads this file by itself: ``gunicorn wsgi:app``.

Flags and GUNICORN_CMD_ARGS override what stands here; PORT, MOLELENS_WORKERS and MOLELENS_THREADS
(docs/settings.md) set the three numbers that machines differ in.
"""

from app.server import machine, metrics_dir
from app.server.hooks import (  # noqa: F401 - gunicorn takes them by name
    child_exit,
    on_exit,
    on_starting,
    post_fork,
    post_request,
    post_worker_init,
    when_ready,
    worker_exit,
)

# This machine only: on the open internet, Apache stands in front (deploy/).
bind = f"127.0.0.1:{machine.number_set('PORT', 8000)}"

workers = machine.number_set("MOLELENS_WORKERS", machine.default_workers())
worker_class = "app.server.worker.TimedWorker"

# Threads, since decoding and the network let go of the GIL, and a photo that arrives slowly then
# holds a thread, not a process. Many more than may be in work or waiting (MOLELENS_AT_ONCE +
# MOLELENS_WAITING, 14 by default): the surplus is there to answer 503 at once.
threads = machine.number_set("MOLELENS_THREADS", 64)

# The app is loaded in each worker, never in the parent (app/server/__init__.py says why).
preload_app = False

raw_env = [
    *machine.engine_threads(workers),
    f"PROMETHEUS_MULTIPROC_DIR={metrics_dir.FOLDER}",
]
worker_tmp_dir = metrics_dir.MEMORY

# The heartbeat of a threaded worker begins once the app is loaded, and does not stop for a long
# request: this ends a worker whose loop hangs, and never a slow conversion of the model.
timeout = 180

# A photo in work takes under a second; one still arriving from a slow phone gets this long.
graceful_timeout = 30

# Ours are far smaller: a route and an id, a browser's usual headers.
limit_request_line = 2048
limit_request_fields = 64
limit_request_field_size = 8190

# Signals and systemd steer gunicorn; a second door (new in gunicorn 25) is not needed.
control_socket_disable = True

# Which photo came when is nobody's business; the app logs requests itself, without addresses.
accesslog = None
