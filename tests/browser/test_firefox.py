"""Debian's Firefox: upload, crop, result and comparison, also when it resists fingerprinting.

It is driven by Mozilla's Marionette client, because Playwright can drive only its own patched
Firefox, which no package registry has.
"""

import io
import re
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import painter
import pillow_heif
import pytest
from marionette_driver import By, Wait
from marionette_driver.keys import Keys
from marionette_driver.marionette import ActionSequence, Marionette, WebElement
from PIL import Image
from serving import free_port

from lens import images

pillow_heif.register_heif_opener()

PHONE = (360, 740)


class Firefox:
    """A window of a Firefox with a new profile."""

    def __init__(self, site: str, driver: Marionette) -> None:
        self._site = site
        self.driver = driver

    def open(self, path: str) -> None:
        self.driver.navigate(self._site + path)

    def element(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def shows(self, selector: str) -> bool:
        return self.element(selector).is_displayed()

    def wait_for(self, condition: Callable[["Firefox"], object]) -> None:
        Wait(self.driver, timeout=60).until(lambda _driver: condition(self))

    def choose(self, field: str, path: Path) -> None:
        self.element(f"#{field}").send_keys(str(path))
        self.wait_for(lambda firefox: "Photo chosen" in firefox.element("#status").text)

    def send(self, page: str) -> None:
        self.element("#send").click()
        self.wait_for(lambda firefox: re.search(page, firefox.driver.get_url()))
        # The address changes before the page is parsed.
        self.wait_for(
            lambda firefox: (
                firefox.driver.execute_script("return document.readyState") == "complete"
            )
        )

    def drag(self, selector: str, start: float, end: float, by: str = "mouse") -> None:
        """Drag across an element, from one share of its width to another."""
        element = self.element(selector)
        self.driver.execute_script(
            "arguments[0].scrollIntoView(arguments[1])",
            [element, {"block": "center", "behavior": "instant"}],
        )
        width = element.rect["width"]
        pointer = ActionSequence(self.driver, "pointer", by, {"pointerType": by})
        for share in (start, (start + end) / 2, end):
            pointer.pointer_move(round((share - 0.5) * width), 0, origin=element)
            if share == start:
                pointer.pointer_down()
        pointer.pointer_up()
        pointer.perform()

    def photo(self) -> np.ndarray:
        """The photo of the current result, as the server decoded it."""
        with urllib.request.urlopen(f"{self.driver.get_url()}/photo.jpg", timeout=60) as answer:
            return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))

    def line(self) -> float:
        """Position of the line between two photos, from 0 (left) to 1."""
        pair, edge = self.element("#pair").rect, self.element(".edge").rect
        return (edge["x"] + edge["width"] / 2 - pair["x"]) / pair["width"]

    def expect_line(self, position: float, tolerance: float = 0.02) -> None:
        self.wait_for(lambda firefox: firefox.line() == pytest.approx(position, abs=tolerance))


@pytest.fixture(scope="module")
def firefox(
    request: pytest.FixtureRequest, served: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Firefox]:
    """Tests may set preferences by the parameter; tests with the same ones share a Firefox."""
    program = shutil.which("firefox-esr")
    if not program:
        pytest.skip("firefox-esr is not installed")
    preferences = getattr(request, "param", {})
    log = str(tmp_path_factory.mktemp("firefox") / "log")
    driver = Marionette(
        bin=program, port=free_port(), headless=True, prefs=preferences, gecko_log=log
    )
    driver.start_session()
    try:
        driver.set_window_rect(width=PHONE[0], height=PHONE[1])
        yield Firefox(served, driver)
    finally:
        driver.quit()
        driver.cleanup()


RESISTING = pytest.mark.parametrize(
    "firefox", [{"privacy.resistFingerprinting": True}], indirect=True, ids=["resisting"]
)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean, in grey levels."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def test_a_photo_is_cropped_by_mouse_and_keys_and_judged(firefox, photos):
    firefox.open("/")
    firefox.choose("file", photos["wide.jpg"])
    assert firefox.shows("#stage")
    assert not firefox.shows("#no-crop")
    before = firefox.element("#crop").rect["x"]
    firefox.drag("#crop", 0.5, 0.7)
    firefox.wait_for(lambda firefox: firefox.element("#crop").rect["x"] > before + 10)
    firefox.element("#crop-size").send_keys(Keys.HOME)
    firefox.element("#crop-x").send_keys(Keys.HOME)
    firefox.send(r"/result/[\w-]{22}$")
    assert firefox.photo()[:50].mean() > 180  # A corner with skin only, without the dark spot.


def test_only_the_square_is_judged(firefox, photos):
    firefox.open("/")
    firefox.choose("file", photos["wide.jpg"])
    firefox.send(r"/result/[\w-]{22}$")
    middle = Image.open(photos["wide.jpg"]).crop((150, 0, 750, 600))
    square = images.decode(painter.encoded(np.asarray(middle), "PNG"))
    assert difference(firefox.photo(), square) < 4
    assert firefox.element(".verdict").get_attribute("data-verdict") == "malignant"


@RESISTING
def test_if_the_canvas_returns_noise_the_whole_photo_is_sent(firefox, photos):
    firefox.open("/")
    firefox.choose("file", photos["wide.jpg"])
    assert firefox.shows("#no-crop")
    assert not firefox.shows("#stage")
    firefox.send(r"/result/[\w-]{22}$")
    whole = images.decode(photos["wide.jpg"].read_bytes())
    assert difference(firefox.photo(), whole) < 4


def test_heic_is_sent_whole(firefox, photos, tmp_path):
    heic = tmp_path / "photo.heic"
    Image.open(photos["wide.jpg"]).save(heic, "HEIF", quality=95)
    firefox.open("/")
    firefox.choose("file", heic)
    assert firefox.shows("#no-preview")
    firefox.send(r"/result/[\w-]{22}$")
    whole = images.decode(photos["wide.jpg"].read_bytes())
    assert difference(firefox.photo(), whole) < 4


def compare(firefox: Firefox, photos: dict[str, Path]) -> None:
    firefox.open("/compare")
    firefox.choose("earlier-file", photos["pale.jpg"])
    firefox.choose("later-file", photos["dark.jpg"])
    firefox.driver.execute_script("arguments[0].value = ''", [firefox.element("#later-taken")])
    firefox.element("#later-taken").send_keys("2026-04-15")
    firefox.send(r"/comparison/[\w-]{22}$")


def test_two_photos_are_compared_and_the_line_follows_mouse_touch_and_keys(firefox, photos):
    compare(firefox, photos)
    cards = firefox.driver.find_elements(By.CSS_SELECTOR, "[data-outcome]")
    outcomes = [card.get_attribute("data-outcome") for card in cards]
    assert outcomes == ["benign", "malignant"]
    assert "April 15, 2026" in firefox.element("main").text
    firefox.expect_line(0.5)
    firefox.drag("#pair", 0.5, 0.2)
    firefox.expect_line(0.2)
    firefox.drag("#pair", 0.2, 0.8, by="touch")
    firefox.expect_line(0.8)
    firefox.element("#slide").send_keys(Keys.HOME)
    firefox.expect_line(0)
    firefox.element("#slide").send_keys(Keys.ARROW_RIGHT)
    firefox.expect_line(0.01, 0.005)


@RESISTING
def test_two_photos_are_compared_uncropped_if_the_canvas_returns_noise(firefox, photos):
    compare(firefox, photos)
    cards = firefox.driver.find_elements(By.CSS_SELECTOR, "[data-outcome]")
    assert [card.get_attribute("data-outcome") for card in cards] == ["benign", "malignant"]


def test_no_page_scrolls_sideways_on_a_small_phone(firefox):
    wider = "return document.documentElement.scrollWidth - window.innerWidth"
    for path in ("/", "/compare", "/about", "/privacy"):
        firefox.open(path)
        assert firefox.driver.execute_script(wider) <= 0
