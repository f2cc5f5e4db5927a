"""Fixtures: Debian's Chromium, driven by Playwright, on pages of a running gunicorn."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import bad_files
import painter
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# In milliseconds, long enough for a busy machine.
TIMEOUT_MS = 60_000
expect.set_options(timeout=TIMEOUT_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator:
    """Print what the open pages say when a test fails, because the page is gone afterwards."""
    report = yield
    if report.when == "call" and report.failed and "open_page" in item.funcargs:
        for context in item.funcargs["browser"].contexts:
            for page in context.pages:
                report.sections.append((page.url, words_of(page)))
    return report


def words_of(page: Page) -> str:
    try:
        return page.locator("body").inner_text(timeout=5000)
    except Error as error:  # It hangs or is closed. Raised in the hook, this would end all tests.
        return str(error)


@pytest.fixture
def open_page(browser: Browser, served: str) -> Iterator:
    """Open a page of the site in a new browser profile; errors in its scripts fail the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_address(address: str = "/", **options: object) -> Page:
        contexts.append(browser.new_context(base_url=served, **{**PHONE, **options}))
        contexts[-1].set_default_timeout(TIMEOUT_MS)
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.extend(policy_violations(message.text)))
        page.goto(address)
        return page

    yield open_address
    for context in contexts:
        context.close()
    assert errors == []


def policy_violations(line: str) -> list[str]:
    return [line] if "Content Security Policy" in line else []


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Photos and other files that a person may choose."""
    folder = tmp_path_factory.mktemp("photos")
    wide = painter.lesion(size=900)[150:750]  # 900 x 600, the spot in the middle.
    contents = {
        "dark.jpg": painter.encoded(painter.lesion()),
        "pale.jpg": painter.encoded(painter.lesion(colour=painter.PALE)),
        "sea.jpg": painter.encoded(painter.sea()),
        "wide.jpg": painter.encoded(wide),
        "text.jpg": b"This is not a photo.",
        "empty.jpg": b"",
        "cut.jpg": bad_files.truncated(),
        "thumbnail.jpg": painter.encoded(painter.lesion(size=32)),
        "large.jpg": b"no browser can show this" * 1_000_000,
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return {name: folder / name for name in contents}
