"""Below a path of a host that others share: every address is right, and the cookies are our own."""

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit

import painter
import pytest
from crowd import visitor
from serving import folder_in_memory, form, gunicorn, settings_for

BELOW = "/molelens"


@pytest.fixture(scope="module", params=[BELOW, "molelens/"], ids=["/molelens", "molelens/"])
def site(
    request: pytest.FixtureRequest,
    tiny_model: Path,
    engine_cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    with folder_in_memory() as results:
        settings = {
            **settings_for(tiny_model, engine_cache, results),
            "MOLELENS_WORKERS": "1",
            "SCRIPT_NAME": request.param,
        }
        log = tmp_path_factory.mktemp("below") / "log"
        with gunicorn(settings, log, BELOW) as server:
            yield server.url


class Person:
    """Someone with a browser: goes where addresses lead, and keeps cookies."""

    def __init__(self, start: str) -> None:
        self._opener = visitor()
        self._host = "http://" + urlsplit(start).netloc

    def ask(self, address: str, body: bytes | None = None, kind: str = "") -> tuple[int, bytes]:
        """The status, and the body; of a redirect, where it leads to instead."""
        headers = {"Content-Type": kind} if kind else {}
        request = urllib.request.Request(urljoin(self._host, address), body, headers)
        try:
            with self._opener.open(request, timeout=60) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.headers.get("Location", "").encode() or error.read()

    def cookie_paths(self) -> set[str]:
        (jar,) = (h.cookiejar for h in self._opener.handlers if hasattr(h, "cookiejar"))
        return {cookie.path for cookie in jar}


def addresses(page: bytes) -> set[str]:
    """What a page links to, shows, loads or sends to."""
    found = re.findall(r'(?:href|src|action|srcset|data-\w+)="([^"]*)"', page.decode())
    return {address.replace("&amp;", "&") for address in found if "/" in address}


def token(page: bytes) -> str:
    return re.search(r'name="csrf_token" value="([^"]+)"', page.decode())[1]


def uploaded(person: Person, photos: int) -> tuple[str, bytes]:
    """Where the result is, and its page."""
    _, index = person.ask(f"{BELOW}/")
    body, kind = form(painter.encoded(painter.lesion()), csrf_token=token(index))
    edge = kind.partition("=")[2].encode()
    photo = body[body.index(b"--" + edge, 10) : body.rindex(b"--" + edge)]
    body = body.replace(photo, photo * photos)
    status, location = person.ask(f"{BELOW}/upload", body, kind)
    assert status == 303
    return location.decode(), person.ask(location.decode())[1]


def test_every_address_of_every_page_lies_below_the_path_and_works(site: str) -> None:
    person = Person(site)
    seen, new = set(), {f"{BELOW}/", f"{BELOW}/no-such-page"}
    new |= {uploaded(person, photos)[0] for photos in (1, 2)}
    while new:
        address = new.pop()
        seen.add(address)
        assert urlsplit(address).path.startswith(f"{BELOW}/"), address
        if re.search("delete$|/upload$", address):
            continue
        status, page = person.ask(address)
        assert status == (404 if "no-such-page" in address else 200), address
        if page.lstrip().startswith(b"<!doctype html>"):
            new |= {found for found in addresses(page) if "lang=" not in found} - seen
    assert {f"{BELOW}/about", f"{BELOW}/api/docs", f"{BELOW}/upload"} <= seen
    assert any("report.pdf" in address for address in seen)


def test_redirects_lead_below_the_path(site: str) -> None:
    person = Person(site)
    address, page = uploaded(person, 1)
    assert re.fullmatch(f"{BELOW}/result/[\\w-]+", address)
    key = f"csrf_token={token(page)}".encode()
    kind = "application/x-www-form-urlencoded"
    assert person.ask(f"{address}/delete", key, kind) == (303, f"{BELOW}/".encode())
    assert person.ask(f"{BELOW}/upload") == (303, f"{BELOW}/".encode())


def test_cookies_are_sent_to_nobody_else_on_the_host(site: str) -> None:
    person = Person(site)
    person.ask(f"{BELOW}/?lang=de")
    assert person.cookie_paths() == {BELOW}


def test_the_api_tells_its_true_address(site: str) -> None:
    person, base = Person(site), site.removesuffix("/")
    document = json.loads(person.ask(f"{BELOW}/api/openapi.json")[1])
    assert document["servers"] == [{"url": base}]
    examples = set(re.findall(r"http://[^ \"<&]+", person.ask(f"{BELOW}/api/docs")[1].decode()))
    assert examples == {f"{base}/api/v1/predictions", f"{base}/api/v1/comparisons"}


def test_problems_point_to_the_documentation(site: str) -> None:
    status, body = Person(site).ask(f"{BELOW}/api/v1/predictions", b"", "text/plain")
    assert status == 400
    assert json.loads(body)["type"].startswith(f"{BELOW}/api/docs#")


def test_the_app_that_a_phone_installs_starts_below_the_path(site: str) -> None:
    manifest = json.loads(Person(site).ask(f"{BELOW}/static/manifest.webmanifest")[1])
    address = f"{BELOW}/static/manifest.webmanifest"
    assert urljoin(address, manifest["start_url"]) == f"{BELOW}/"
    assert urljoin(address, manifest["scope"]) == f"{BELOW}/"


def test_the_path_without_a_slash_at_its_end_leads_to_the_form(site: str) -> None:
    status, page = Person(site).ask(BELOW)
    assert status in (200, 301, 303, 308)
    assert status == 200 or page.decode().endswith(f"{BELOW}/")


@pytest.mark.parametrize("path", ["/", "/healthz", "/molelenses"])
def test_what_is_not_below_the_path_is_not_found(site: str, path: str) -> None:
    assert Person(site).ask(path)[0] == 404
