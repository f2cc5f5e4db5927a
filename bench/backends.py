"""Measure requests a second through Apache with one backend and with two: does it scale?

Apache with deploy/apache/molelens.conf, TLS and all, in front of gunicorns of one worker each that
share a Redis. On a machine of two cores that work beside the load, two backends are as many as say
anything. Needs Debian's apache2, redis-server and openssl.
"""

import argparse
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import load, photos
from bench.server import ROOT, free_port, gunicorn

NEEDED = ("apache2", "redis-server", "openssl")
SITE = ROOT / "deploy" / "apache" / "molelens.conf"
MODULES = Path("/usr/lib/apache2/modules")
# Debian switches these on with the package; the others are named in the site's file.
ALWAYS_ON = ["authz_core", "authz_host", "env", "mime", "mpm_event", "setenvif", "slotmem_shm"]
DAY = 24 * 3600


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.backends", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "melanoma.h5")
    parser.add_argument("--seconds", type=float, default=15, help="of each load (default 15)")
    parser.add_argument("--clients", type=int, default=8, help="at once (default 8)")
    arguments = parser.parse_args()
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        raise SystemExit(f"Needs {', '.join(missing)}: apt install {' '.join(NEEDED)}.")
    with ExitStack() as stack:
        # Apache's workers are www-data: they must be let in.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="molelens-bench-")))
        folder.chmod(0o755)
        certificate(folder)
        redis = ["redis-server", "--port", "0", "--unixsocket", f"{folder}/redis", "--save", ""]
        stack.enter_context(running(redis, folder))
        environment = {
            "MOLELENS_MODEL": str(photos.credulous(arguments.model, folder)),
            "MOLELENS_RESULTS": f"unix://{folder}/redis",
            "MOLELENS_PROXIES": "1",
            "MOLELENS_WORKERS": "1",
            "OMP_NUM_THREADS": "1",
        }
        wait(folder / "redis")
        ports = [stack.enter_context(gunicorn(["wsgi:app"], environment)).port for _ in range(2)]
        measured = {}
        for name, photo in photos.jpegs(None).items():
            for count in (1, 2):
                with apache(folder, ports[:count]) as https:
                    trusted = ssl.create_default_context(cafile=folder / "certificate.pem")
                    load.run(https, photo, arguments.clients, 2, trusted)  # Warms up.
                    figures = load.run(https, photo, arguments.clients, arguments.seconds, trusted)
                measured[name, count] = rate = figures.answered_per_s
                print(
                    f"{name:>6}, {count} backend(s): {rate:6.1f} requests/s, "
                    f"{rate * DAY / 1e6:5.2f} million a day, p99 {figures.p99_ms:.0f} ms; "
                    f"503: {figures.refused}, failed: {figures.failed}",
                    flush=True,
                )
            print(f"{name:>6}: {measured[name, 2] / measured[name, 1]:.2f} times as many with two")


def certificate(folder: Path) -> None:
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem"]
    subprocess.run([*make.split(), *names, *files], check=True, capture_output=True)


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def apache(folder: Path, ports: list[int]) -> Iterator[int]:
    """The site in front of the gunicorns on ``ports``; yields its https port."""
    http, https = free_port(), free_port()
    named = re.search(r"Needs the modules\n#(.*)", SITE.read_text())
    if not named:
        raise RuntimeError(f"Expected a line 'Needs the modules' in {SITE}.")
    values = {
        "APACHE_LOG_DIR": folder,
        "MOLELENS_HOST": "localhost",
        "MOLELENS_HTTP_PORT": http,
        "MOLELENS_HTTPS_PORT": https,
        "MOLELENS_CERTIFICATE": folder / "certificate.pem",
        "MOLELENS_CERTIFICATE_KEY": folder / "key.pem",
        "MOLELENS_ROOT": folder,
        **{f"MOLELENS_BACKEND_{n}": f"http://127.0.0.1:{p}" for n, p in enumerate(ports, 1)},
    }
    lines = [
        f"ServerRoot {folder}",
        f"DefaultRuntimeDir {folder}",
        f"PidFile {folder}/apache.pid",
        f"ErrorLog {folder}/error.log",
        "Mutex sem",
        "ServerName localhost",
        "User www-data",
        "Group www-data",
        f"Listen 127.0.0.1:{http}",
        f"Listen 127.0.0.1:{https}",
        *(f"LoadModule {m}_module {MODULES}/mod_{m}.so" for m in [*ALWAYS_ON, *named[1].split()]),
        "TypesConfig /etc/mime.types",
        *(f'Define {name} "{value}"' for name, value in values.items()),
        f"Include {SITE}",
    ]
    (folder / "httpd.conf").write_text("\n".join(lines))
    with running(["apache2", "-f", f"{folder}/httpd.conf", "-DFOREGROUND"], folder):
        wait(("127.0.0.1", https))
        yield https


def wait(address: Path | tuple[str, int]) -> None:
    """Until something listens there."""
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
