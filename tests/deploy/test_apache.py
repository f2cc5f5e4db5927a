"""Debian's Apache with deploy/apache/molelens.conf in front of two gunicorns that share a Redis."""

import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import painter
import pytest
from crowd import COLOURS, Crowd
from serving import (
    MEMORY,
    ROOT,
    bytes_written_to_disk,
    free_port,
    settings_for,
    wait_for_process,
)

from app.server.discard import MAX_BYTES
from bench import apache
from bench.visits import PREDICTIONS, Visitor

REQUIRED_PROGRAMS = (*apache.REQUIRED_PROGRAMS, "curl")
SECURITY_HEADERS = [
    "Content-Security-Policy",
    "Cross-Origin-Resource-Policy",
    "Referrer-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
]

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, REQUIRED_PROGRAMS)), reason=f"needs {', '.join(REQUIRED_PROGRAMS)}"
)


@dataclass
class Backend:
    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """Kill the master and the worker at the same time, as when a machine loses power."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def kill_worker(self) -> None:
        """Kill the worker, as when it runs out of memory; gunicorn starts another."""
        pid = self.process.pid
        (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)

    def accepted_uploads(self) -> int:
        lines = [json.loads(x) for x in self.log.read_text().splitlines() if x.startswith("{")]
        return sum(x.get("route") == "/upload" and x.get("status") == 303 for x in lines)


@dataclass
class Site:
    folder: Path
    https: int
    http: int
    backends: list[Backend]
    apache: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"https://localhost:{self.https}"

    @property
    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.folder / "certificate.pem")

    def visitor(self) -> Visitor:
        return Visitor(self.url, self.trusted)

    def curl(self, *arguments: str) -> str:
        return subprocess.run(
            ["curl", "-sS", "--cacert", str(self.folder / "certificate.pem"), *arguments],
            capture_output=True,
            text=True,
            timeout=300,
        ).stdout


@cache
def photo_of_a_lesion() -> bytes:
    return painter.encoded(painter.lesion())


@contextmanager
def running(command: list[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with open(log, "wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, start_new_session=True, **options
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(f"{log.name}:\n{log.read_text()[-4000:]}")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def site(tiny_model: Path, engine_cache: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        # Apache's workers run as www-data, and pytest's folders are private to this user.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="molelens-apache-")))
        folder.chmod(0o755)
        for name in ("static", "deploy/apache/errors"):
            shutil.copytree(ROOT / name, folder / name)
        (folder / "tmp").mkdir()
        (folder / "tmp").chmod(0o777)
        apache.certificate(folder)

        redis_port, port, https, http = (free_port() for _ in range(4))
        redis = ["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", ""]
        process = stack.enter_context(running(redis, folder / "redis.log", cwd=folder))
        wait_for_process(process, lambda: listens(redis_port))

        environment = {
            **{n: value for n, value in os.environ.items() if not n.startswith("MOLELENS_")},
            **settings_for(tiny_model, engine_cache, folder),
            # A busy machine may pause Redis for longer than the app's 2 s.
            "MOLELENS_RESULTS": f"redis://127.0.0.1:{redis_port}/0?socket_timeout=60",
            "MOLELENS_PROXIES": "1",
            "MOLELENS_HOSTS": "localhost,127.0.0.1,x",
            "MOLELENS_WORKERS": "1",
        }
        binds = [f"unix:{folder}/gunicorn.sock", f"127.0.0.1:{port}"]
        curl_addresses = [
            ["--unix-socket", f"{folder}/gunicorn.sock", "http://x"],
            [f"http://{binds[1]}"],
        ]
        backends = []
        for number, bind in enumerate(binds, 1):
            log = folder / f"gunicorn-{number}.log"
            command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", bind]
            process = stack.enter_context(running(command, log, cwd=ROOT, env=environment))
            # It is killed at the end, so it does not remove its metrics itself.
            metrics = MEMORY / f"molelens-metrics-{process.pid}"
            stack.callback(shutil.rmtree, metrics, ignore_errors=True)
            backends.append(Backend(process, log))
        for backend, (*options, url) in zip(backends, curl_addresses, strict=True):
            ask = ["curl", "-fs", *options, f"{url}/readyz"]
            wait_for_process(
                backend.process,
                lambda ask=ask: subprocess.run(ask, stdout=subprocess.DEVNULL).returncode == 0,
            )

        members = [f"{binds[0]}|http://one", f"http://{binds[1]}"]
        command = apache.command(folder, https, http, members)
        temporary = {**os.environ, "TMPDIR": str(folder / "tmp")}
        process = stack.enter_context(running(command, folder / "apache.log", env=temporary))
        wait_for_process(process, lambda: listens(https))
        yield Site(folder, https, http, backends, process)
        print((folder / "error.log").read_text()[-4000:])


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[[int], Path]:
    def make(size: int) -> Path:
        path = tmp_path / "large.jpg"
        with open(path, "wb") as file:
            file.truncate(size)
        return path

    return make


def test_a_photo_sent_through_https_is_answered_with_its_result_page(site):
    visitor = site.visitor()
    answer = visitor.upload(photo_of_a_lesion())
    assert answer.status == 303
    page = visitor.ask(answer.location)
    photo = visitor.ask(f"{answer.location}/photo.jpg")
    assert page.status == photo.status == 200
    assert photo.body.startswith(b"\xff\xd8")
    assert page.headers["Cache-Control"] == "no-store"


def test_the_apps_cookie_is_secure_behind_apache(site):
    cookie = site.visitor().ask("/").headers["Set-Cookie"]
    assert "Secure" in cookie


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_the_api_is_served_over_http(site, version, tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(photo_of_a_lesion())
    output = site.curl(
        f"--http{version}",
        *("-F", f"photo=@{photo}"),
        *("-w", "\n%{http_version} %{http_code}"),
        site.url + PREDICTIONS,
    )
    body, _, line = output.rpartition("\n")
    assert line == f"{version} 200"
    assert json.loads(body)["verdict"] == "malignant"


def test_plain_http_is_redirected_to_https(site):
    visitor = Visitor(f"http://127.0.0.1:{site.http}")
    answer = visitor.ask("/about?lang=de", headers={"Host": "localhost"})
    assert answer.status == 301
    assert answer.location.startswith("https://localhost/about")


@pytest.mark.parametrize("path", ["/", "/static/style.css", "/nowhere", "/static/nowhere"])
def test_every_security_header_is_sent_once(site, path):
    headers = site.visitor().ask(path).headers
    assert {name: len(headers.get_all(name, [])) for name in SECURITY_HEADERS} == dict.fromkeys(
        SECURITY_HEADERS, 1
    )


def test_static_files_are_served_by_apache_and_cached_for_a_year(site):
    visitor = site.visitor()
    address = re.search(r'href="(/static/style\.css\?v=\w+)"', visitor.ask("/").text)[1]
    answer = visitor.ask(address)
    assert answer.status == 200
    assert "X-Request-ID" not in answer.headers
    assert answer.headers["Content-Type"].startswith("text/css")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert visitor.ask("/static/style.css").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/static/", "/static/../wsgi.py", "/static/%2e%2e/wsgi.py"])
def test_only_the_files_of_static_are_served(site, path):
    assert site.visitor().ask(path).status in (400, 403, 404)


TOO_LARGE = [
    ("/upload", "text/html", "Send a smaller copy"),
    ("/api/v1/predictions", "application/problem+json", '"status": 413'),
]


def send(site: Site, path: str, photo: Path, version: str) -> tuple[str, str]:
    """The head of the answer in lower case, and its body."""
    options = [f"--http{version}", "-iF", f"photo=@{photo}", "-H", "Expect:"]
    head, _, body = site.curl(*options, site.url + path).partition("\n\n")  # Text mode: no \r.
    return head.lower(), body


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize(("path", "kind", "words"), TOO_LARGE)
@pytest.mark.parametrize("size", [25_000_000, 110_000_000])
def test_a_file_that_is_too_large_is_refused_by_the_app_with_its_message(
    site, make_file, size, version, path, kind, words
):
    head, body = send(site, path, make_file(size), version)
    assert head.startswith(f"http/{version} 413")
    assert f"content-type: {kind}" in head
    assert words in body


@pytest.mark.parametrize(("path", "kind", "words"), TOO_LARGE)
def test_a_body_larger_than_the_app_discards_is_refused_by_apache(site, path, kind, words):
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {MAX_BYTES + 1}", "", ""]
    with tls(site) as client:
        client.sendall("\r\n".join(lines).encode())
        answer = client.recv(65536).decode()
        while words not in answer and (more := client.recv(65536).decode()):
            answer += more
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 413")
    assert f"content-type: {kind}" in head.lower()
    assert "x-request-id" not in head.lower()
    assert words in body


def tls(site: Site) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=site.folder / "certificate.pem")
    plain = socket.create_connection(("127.0.0.1", site.https), timeout=60)
    return context.wrap_socket(plain, server_hostname="localhost")


EARLY_ANSWERS = {
    "no such page": (404, "/no-such-page", []),
    "another method": (405, "/api/v1/predictions", ["-X", "PUT"]),
    "a method a page lacks": (405, "/healthz", []),
    "another host": (400, "/api/v1/predictions", ["-H", "Host: elsewhere.example"]),
}
THROTTLED = ["--limit-rate", "5M"]


@pytest.mark.parametrize("how", [[], ["-H", "Transfer-Encoding: chunked"], THROTTLED], ids=str)
@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize(("status", "path", "options"), EARLY_ANSWERS.values(), ids=EARLY_ANSWERS)
def test_an_answer_given_before_the_body_is_read_arrives(
    site, make_file, status, path, options, version, how
):
    output = site.curl(
        f"--http{version}",
        *(*options, *how, "-H", "Expect:", "-F", f"photo=@{make_file(5_000_000)}"),
        *("-o", "/dev/null", "-w", "%{http_version} %{http_code} %{exitcode}"),
        site.url + path,
    )
    assert output == f"{version} {status} 0"


def test_no_byte_of_an_upload_is_written_to_a_disk_by_apache(site, tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(painter.encoded(painter.lesion(size=2200), quality=98))
    assert photo.stat().st_size > 1_000_000
    folder_changed = (site.folder / "tmp").stat().st_mtime_ns
    before = bytes_written_to_disk(site.apache.pid)
    for how in ([], ["-H", "Transfer-Encoding: chunked"], ["--http2"]):
        output = site.curl("--http1.1", *how, "-F", f"photo=@{photo}", site.url + PREDICTIONS)
        assert json.loads(output)["status"] == "ok"
    # Apache's logs are on a disk: at most a page of 4 kB for each line.
    assert bytes_written_to_disk(site.apache.pid) - before < 100_000
    assert (site.folder / "tmp").stat().st_mtime_ns == folder_changed


def test_forwarding_headers_of_a_client_are_ignored(site):
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    answer = site.visitor().ask("/api/openapi.json", headers=forged)
    assert json.loads(answer.body)["servers"][0]["url"] == site.url


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PATH_INFO", "X-Forwarded-Prefix"])
def test_a_client_cannot_move_the_site_to_another_path(site, name):
    output = site.curl("-i", "-H", f"{name}: /about", f"{site.url}/about")
    assert output.startswith("HTTP/2 200")
    assert 'href="/privacy"' in output


def test_apache_logs_no_address_and_no_result(site):
    visitor = site.visitor()
    visitor.ask(visitor.upload(photo_of_a_lesion()).location)
    lines = (site.folder / "molelens-access.log").read_text().splitlines()
    assert lines
    assert all(re.fullmatch(r"[\d:+T-]+ [A-Z]+ \d{3} \d+ \d+", line) for line in lines)


SLOW_REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    b"POST /api/v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n",
]


def is_cut_off(client: ssl.SSLSocket) -> bool:
    try:
        return client.recv(4096)[:12] in (b"", b"HTTP/1.1 408", b"HTTP/1.1 400")
    except TimeoutError:  # Only TLS records without data have arrived.
        return False
    except OSError:
        return True


def test_slow_clients_are_cut_off_and_others_are_served_meanwhile(site):
    with ExitStack() as stack:
        slow = []
        for begin in SLOW_REQUESTS * 10:
            slow.append(stack.enter_context(tls(site)))
            slow[-1].sendall(begin)
            slow[-1].settimeout(1)
        assert site.visitor().upload(photo_of_a_lesion()).status == 303
        end = time.monotonic() + 120  # Their headers get 20 s at most, their bodies 30.
        while slow:
            assert time.monotonic() < end, f"{len(slow)} of them are still connected"
            for client in select.select(slow, [], [], 1.0)[0]:
                if is_cut_off(client):
                    slow.remove(client)
            for client in slow:
                with suppress(OSError):
                    client.sendall(b"x")


# The last two tests break the site.


@pytest.mark.parametrize("kill", [Backend.kill_worker, Backend.kill], ids=["worker", "backend"])
def test_no_accepted_result_is_lost_when_something_is_killed_under_load(site, kill):
    with Crowd(site.url, site.trusted) as crowd:
        crowd.wait_for_uploads(6)
        kill(site.backends[0])
        crowd.wait_for_uploads(12)

    assert site.backends[0].accepted_uploads() > 0
    assert crowd.errors == []
    # Each visitor had at most one request in progress at that moment, and may reach the dead
    # backend once more before Apache notices that it refuses connections (seen on a busy machine).
    assert len(crowd.refused) <= 2 * len(COLOURS)
    assert all(answer.status in (502, 503, 504) for answer in crowd.refused)
    assert all("Your photo was not judged" in answer.text for answer in crowd.refused)
    assert crowd.photo_statuses() == {200}
    assert crowd.mixed_up == []


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("/", "text/html", "Your photo was not judged"),
        ("/api/openapi.json", "application/problem+json", "Nothing was judged"),
    ],
)
def test_without_a_backend_apache_answers_with_a_page_that_says_so(site, path, kind, words):
    for backend in site.backends:
        backend.kill()
    answer = site.visitor().ask(path)
    assert answer.status in (502, 503)  # 502 if the last backend was just dying.
    assert answer.headers["Content-Type"].startswith(kind)
    assert answer.headers["Retry-After"] == "30"
    assert words in answer.text
    assert len(answer.headers.get_all("Content-Security-Policy")) == 1
