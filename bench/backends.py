"""Measure requests per second through Apache with one backend and with two.

Apache uses deploy/apache/molelens.conf, with TLS, in front of gunicorns with one worker each, which
share a Redis. Needs Debian's apache2, redis-server and openssl. Writes bench/backends.json, and the
sizing table of docs/operations.md from it and bench/serve.json.
"""

import argparse
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench import apache, load, photos, sizing
from bench.machine import processor
from bench.report import BackendsCase, BackendsReport
from bench.server import ROOT, Server, free_port, gunicorn

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.backends", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "melanoma.h5")
    parser.add_argument(
        "--seconds", type=float, default=15, help="duration of each load in seconds (default 15)"
    )
    parser.add_argument(
        "--clients", type=int, default=8, help="number of concurrent clients (default 8)"
    )
    arguments = parser.parse_args()
    if missing := [name for name in apache.REQUIRED_PROGRAMS if not shutil.which(name)]:
        raise SystemExit(
            f"Needs {', '.join(missing)}: apt install {' '.join(apache.REQUIRED_PROGRAMS)}."
        )
    report: BackendsReport = {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": processor(),
        "model": arguments.model.name,
        "seconds": arguments.seconds,
        "clients": arguments.clients,
        "cases": [],
    }
    with ExitStack() as stack:
        # Apache's workers run as www-data and must be able to read the folder.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="molelens-bench-")))
        folder.chmod(0o755)
        apache.certificate(folder)
        redis = ["redis-server", "--port", "0", "--unixsocket", f"{folder}/redis", "--save", ""]
        stack.enter_context(running(redis, folder))
        wait_for_listener(folder / "redis")
        environment = {
            "MOLELENS_MODEL": str(photos.without_lesion_check(arguments.model, folder)),
            "MOLELENS_RESULTS": f"unix://{folder}/redis",
            "MOLELENS_PROXIES": "1",
            "MOLELENS_WORKERS": "1",
            "OMP_NUM_THREADS": "1",
        }
        servers = [stack.enter_context(gunicorn(["wsgi:app"], environment)) for _ in range(2)]
        for name, photo in photos.jpegs(None).items():
            cases = [_measured(folder, servers[:count], name, photo, arguments) for count in (1, 2)]
            report["cases"] += cases
            one, two = (case["answered_per_s"] for case in cases)
            print(f"{name:>6}: {two / one:.2f} times as many with two backends")
    (HERE / "backends.json").write_text(json.dumps(report, indent=1) + "\n")
    sizing.write()


def _measured(
    folder: Path, servers: list[Server], name: str, photo: bytes, arguments: argparse.Namespace
) -> BackendsCase:
    trusted = ssl.create_default_context(cafile=folder / "certificate.pem")
    with apache_in_front(folder, [server.port for server in servers]) as https:
        load.run(https, photo, arguments.clients, 2, trusted)  # Warm-up.
        figures = load.run(https, photo, arguments.clients, arguments.seconds, trusted)
    print(
        f"{name:>6}, {len(servers)} backend(s): {figures['answered_per_s']:6.1f} requests/s, "
        f"p99 {figures['p99_ms']:.0f} ms; 503: {figures['refused']}, failed: {figures['failed']}",
        flush=True,
    )
    return {
        "photo": name,
        "backends": len(servers),
        "worker_pss_mb": [pss for server in servers for pss in server.memory_after()],
        **figures,
    }


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def apache_in_front(folder: Path, ports: list[int]) -> Iterator[int]:
    """Run Apache in front of the gunicorns on ``ports``; yield its https port."""
    https, http = free_port(), free_port()
    backends = [f"http://127.0.0.1:{port}" for port in ports]
    with running(apache.command(folder, https, http, backends), folder):
        wait_for_listener(("127.0.0.1", https))
        yield https


def wait_for_listener(address: Path | tuple[str, int]) -> None:
    """Wait until a server listens on a socket file, or on a host and port."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    where = str(address) if isinstance(address, Path) else address
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with socket.socket(family) as probe:
            if probe.connect_ex(where) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"Nothing listens on {where} after 60 s.")


if __name__ == "__main__":
    main()
