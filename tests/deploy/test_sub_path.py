"""The site under a path of a shared host: every address has the path, and so do the cookies."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import painter
import pytest
from serving import folder_in_memory, gunicorn, settings_for

from bench.visits import Visitor

PATH = "/molelens"


@pytest.fixture(scope="module", params=[PATH, "molelens/"], ids=["/molelens", "molelens/"])
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
        log = tmp_path_factory.mktemp("site") / "log"
        with gunicorn(settings, log, PATH) as server:
            yield server.url


@pytest.fixture
def visitor(site: str) -> Visitor:
    return Visitor(site)


def addresses(page: str) -> set[str]:
    """The addresses that a page links to, loads or sends forms to."""
    found = re.findall(r'(?:href|src|action|srcset|data-\w+)="([^"]*)"', page)
    return {address.replace("&amp;", "&") for address in found if "/" in address}


def upload(visitor: Visitor, photos: int) -> str:
    """Upload photos; return the address of the result."""
    answer = visitor.upload(*[painter.encoded(painter.lesion())] * photos)
    assert answer.status == 303
    return answer.location


def test_every_address_on_every_page_is_under_the_path_and_works(visitor: Visitor) -> None:
    seen, new = set(), {f"{PATH}/", f"{PATH}/no-such-page"}
    new |= {upload(visitor, photos) for photos in (1, 2)}
    while new:
        address = new.pop()
        seen.add(address)
        assert urlsplit(address).path.startswith(f"{PATH}/"), address
        if re.search("delete$|/upload$", address):
            continue
        page = visitor.ask(address)
        assert page.status == (404 if "no-such-page" in address else 200), address
        if page.text.lstrip().startswith("<!doctype html>"):
            new |= {found for found in addresses(page.text) if "lang=" not in found} - seen
    assert {f"{PATH}/about", f"{PATH}/api/docs", f"{PATH}/upload"} <= seen
    assert any("report.pdf" in address for address in seen)


def test_redirects_stay_under_the_path(visitor: Visitor) -> None:
    result = upload(visitor, 1)
    assert re.fullmatch(f"{PATH}/result/[\\w-]+", result)
    deleted = visitor.submit(visitor.ask(result), f"{result}/delete")
    for answer in (deleted, visitor.ask(f"{PATH}/upload")):
        assert (answer.status, answer.location) == (303, f"{PATH}/")


def test_cookies_are_sent_to_no_other_site_of_the_host(visitor: Visitor) -> None:
    visitor.ask(f"{PATH}/?lang=de")
    assert {cookie.path for cookie in visitor.cookies} == {PATH}


def test_the_api_documents_its_true_address(site: str, visitor: Visitor) -> None:
    base = site.removesuffix("/")
    document = json.loads(visitor.ask(f"{PATH}/api/openapi.json").body)
    assert document["servers"] == [{"url": base}]
    examples = set(re.findall(r"http://[^ \"<&]+", visitor.ask(f"{PATH}/api/docs").text))
    assert examples == {f"{base}/api/v1/predictions", f"{base}/api/v1/comparisons"}


def test_problems_point_to_the_documentation(visitor: Visitor) -> None:
    plain = {"Content-Type": "text/plain"}
    answer = visitor.ask(f"{PATH}/api/v1/predictions", b"", plain)
    assert answer.status == 400
    assert json.loads(answer.body)["type"].startswith(f"{PATH}/api/docs#")


def test_the_app_that_a_phone_installs_starts_under_the_path(visitor: Visitor) -> None:
    manifest = json.loads(visitor.ask(f"{PATH}/static/manifest.webmanifest").body)
    address = f"{PATH}/static/manifest.webmanifest"
    assert urljoin(address, manifest["start_url"]) == f"{PATH}/"
    assert urljoin(address, manifest["scope"]) == f"{PATH}/"


def test_the_path_without_a_trailing_slash_leads_to_the_form(visitor: Visitor) -> None:
    answer = visitor.ask(PATH)
    assert answer.status in (200, 301, 303, 308)
    assert answer.status == 200 or answer.location.endswith(f"{PATH}/")


@pytest.mark.parametrize("path", ["/", "/healthz", "/molelenses"])
def test_addresses_outside_the_path_are_not_found(visitor: Visitor, path: str) -> None:
    assert visitor.ask(path).status == 404
