"""Browsers that falsify canvases or cannot decode the photo: the right photo still arrives."""

import io
import re
import urllib.request
from pathlib import Path

import numpy as np
import painter
import pillow_heif
import pytest
from PIL import Image, ImageCms
from playwright.sync_api import Page, expect

from lens import images

pillow_heif.register_heif_opener()

# As in browsers that resist fingerprinting: whatever is read contains stripes.
NOISE = """
const key = crypto.getRandomValues(new Uint8Array(32));
const read = CanvasRenderingContext2D.prototype.getImageData;
const blob = HTMLCanvasElement.prototype.toBlob;
const spoil = (image) => {
  for (let i = 0; i < image.data.length; i++) image.data[i] = i % 4 === 3 ? 255 : key[i % 32];
  return image;
};
CanvasRenderingContext2D.prototype.getImageData = function (...area) {
  return spoil(read.apply(this, area));
};
HTMLCanvasElement.prototype.toBlob = function (...rest) {
  const copy = document.createElement("canvas");
  copy.width = this.width;
  copy.height = this.height;
  const pen = copy.getContext("2d");
  pen.putImageData(spoil(read.call(pen, 0, 0, copy.width, copy.height)), 0, 0);
  return blob.apply(copy, rest);
};
"""
FAULTS = {
    "noise": NOISE,
    "the lowest bits changed": """
        const read = CanvasRenderingContext2D.prototype.getImageData;
        CanvasRenderingContext2D.prototype.getImageData = function (...area) {
          const image = read.apply(this, area);
          for (let i = 0; i < image.data.length; i += 101) image.data[i] ^= 1;
          return image;
        };
    """,
    "no file": """
        HTMLCanvasElement.prototype.toBlob = function (done) { setTimeout(done, 5, null); };
    """,
    "a file that never arrives": "HTMLCanvasElement.prototype.toBlob = function () {};",
    "an error": """
        HTMLCanvasElement.prototype.toBlob = function () { throw new DOMException("no"); };
    """,
    "a white picture": """
        const blob = HTMLCanvasElement.prototype.toBlob;
        HTMLCanvasElement.prototype.toBlob = function (...rest) {
          const white = document.createElement("canvas");
          white.width = this.width;
          white.height = this.height;
          white.getContext("2d").fillStyle = "white";
          white.getContext("2d").fillRect(0, 0, this.width, this.height);
          return blob.apply(white, rest);
        };
    """,
    "no drawing at all": "HTMLCanvasElement.prototype.getContext = () => null;",
    "no reading at all": """
        CanvasRenderingContext2D.prototype.getImageData = function () {
          throw new DOMException("no", "SecurityError");
        };
    """,
}


def choose(page: Page, path: Path) -> None:
    page.set_input_files("#file", path)
    expect(page.locator("#status")).to_contain_text("Photo chosen")


def send(page: Page) -> np.ndarray:
    """Send the photo; return it as the server decoded it, uint8 (500, 500, 3)."""
    page.get_by_role("button", name="Check this photo").click()
    return photo_of_result(page)


def photo_of_result(page: Page) -> np.ndarray:
    expect(page).to_have_url(re.compile(r"/result/[\w-]{22}$"))
    with urllib.request.urlopen(f"{page.url}/photo.jpg", timeout=60) as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean, in grey levels."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.fixture(scope="module")
def whole(photos) -> np.ndarray:
    """The wide photo, squeezed as the server does with photos that are not cropped."""
    return images.decode(photos["wide.jpg"].read_bytes())


@pytest.fixture(scope="module")
def square(photos) -> np.ndarray:
    """The square in the middle of the wide photo."""
    photo = Image.open(photos["wide.jpg"])
    return images.decode(painter.encoded(np.asarray(photo.crop((150, 0, 750, 600))), "PNG"))


def test_the_whole_photo_and_its_square_differ_clearly(whole, square):
    assert difference(whole, square) > 15


def test_an_ordinary_browser_sends_the_square(open_page, photos, square):
    page = open_page()
    choose(page, photos["wide.jpg"])
    expect(page.locator("#no-crop")).to_be_hidden()
    assert difference(send(page), square) < 4


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_if_a_canvas_cannot_be_read_the_whole_photo_is_sent_and_the_page_says_so(
    open_page, photos, whole, fault
):
    page = open_page("about:blank")
    page.add_init_script(f"{{{fault}}}")
    page.goto("/")
    choose(page, photos["wide.jpg"])
    expect(page.locator("#no-crop")).to_contain_text("The whole photo will be sent")
    expect(page.locator("#stage")).to_be_hidden()
    expect(page.locator("#controls")).to_be_hidden()
    assert difference(send(page), whole) < 4


@pytest.mark.parametrize(
    "fault", ["toBlob = (done) => done(null)", "getContext = () => null"], ids=["file", "canvas"]
)
def test_if_the_browser_fails_to_crop_the_whole_photo_is_sent_only_after_another_click(
    open_page, photos, whole, fault
):
    page = open_page()
    choose(page, photos["wide.jpg"])
    page.evaluate(f"() => {{ HTMLCanvasElement.prototype.{fault}; }}")
    page.get_by_role("button", name="Check this photo").click()
    expect(page.locator("#no-crop")).to_contain_text("The whole photo will be sent")
    expect(page.locator("#status")).to_contain_text("You can check it now")
    assert difference(send(page), whole) < 4


def test_nothing_can_be_sent_before_the_preview_shows_the_photo(open_page, photos):
    page = open_page("about:blank")
    page.add_init_script("""
      const decode = window.createImageBitmap;
      window.createImageBitmap = async (file) => {
        if (window.hold) await new Promise((resolve) => { window.release = resolve; });
        return decode(file);
      };
    """)
    page.clock.install()
    page.goto("/")
    choose(page, photos["wide.jpg"])
    page.clock.pause_at("2100-01-01")  # On a slow machine, the page would stop waiting.
    page.evaluate("() => { window.hold = true; }")
    page.get_by_role("button", name="Choose another photo").click()
    page.set_input_files("#file", photos["wide.jpg"])
    expect(page.locator("#status")).to_contain_text("Opening the photo")
    expect(page.get_by_role("button", name="Check this photo")).to_be_disabled()
    expect(page.locator("#stage")).to_be_hidden()
    page.evaluate("() => window.release()")
    expect(page.locator("#stage")).to_be_visible()
    expect(page.get_by_role("button", name="Check this photo")).to_be_enabled()


def test_a_decoder_that_never_finishes_does_not_prevent_the_upload(open_page, photos, whole):
    page = open_page("about:blank")
    page.add_init_script("window.createImageBitmap = () => new Promise(() => {});")
    page.clock.install()
    page.goto("/")
    page.set_input_files("#file", photos["wide.jpg"])
    expect(page.locator("#preview")).to_be_visible()
    page.clock.run_for(20_000)
    expect(page.locator("#no-preview")).to_contain_text("The whole photo will be sent")
    assert difference(send(page), whole) < 4


def test_heic_which_this_browser_cannot_show_is_sent_unchanged(open_page, photos, whole, tmp_path):
    heic = tmp_path / "photo.heic"
    Image.open(photos["wide.jpg"]).save(heic, "HEIF", quality=95)
    page = open_page()
    choose(page, heic)
    expect(page.locator("#no-preview")).to_contain_text("The whole photo will be sent")
    expect(page.locator("#stage")).to_be_hidden()
    assert difference(send(page), whole) < 4


RECORD_REQUEST = """
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (body) {
  window.sent = body;
  send.call(this, body);
};
"""
READ_SENT_PHOTO = "async () => [...new Uint8Array(await window.sent.get('photo').arrayBuffer())]"
WIDE_GAMUT = """
const real = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, options) {
  return real.call(this, kind, { colorSpace: "display-p3", ...options });
};
"""


@pytest.mark.parametrize("canvas", ["", WIDE_GAMUT], ids=["an sRGB canvas", "a wide canvas"])
def test_a_cropped_photo_is_sent_in_srgb(open_page, tmp_path, canvas):
    srgb = ImageCms.createProfile("sRGB")
    photo = tmp_path / "photo.png"
    # Strong colours, which would change by 20 levels or more in another colour space.
    bands = np.repeat([(220, 60, 50), (60, 160, 70), (60, 80, 200)], 200, axis=0)
    Image.fromarray(np.tile(bands, (600, 1, 1)).astype(np.uint8)).save(
        photo, icc_profile=ImageCms.ImageCmsProfile(srgb).tobytes()
    )
    page = open_page("about:blank")
    page.add_init_script(f"{{{RECORD_REQUEST}{canvas}}}")
    page.goto("/")
    choose(page, photo)
    expect(page.locator("#stage")).to_be_visible()
    page.route("**/upload", lambda route: route.abort())
    page.get_by_role("button", name="Check this photo").click()
    expect(page.get_by_role("alert")).to_be_visible()
    sent = Image.open(io.BytesIO(bytes(page.evaluate(READ_SENT_PHOTO))))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(sent.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    for x, colour in ((100, bands[0]), (300, bands[200]), (500, bands[400])):
        assert np.abs(np.array(sent.getpixel((x, 300))) - colour).max() < 6


def test_the_page_reads_the_exif_day_of_every_format(open_page, tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2026:05:03 09:30:00"
    photo = Image.fromarray(painter.lesion())
    page = open_page("/compare")
    for kind in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF"):
        path = tmp_path / f"photo.{kind.lower()}"
        photo.save(path, kind, exif=exif.tobytes())
        page.set_input_files("#earlier-file", path)
        expect(page.locator("#earlier-taken")).to_have_value("2026-05-03")
        page.locator("#earlier-other").click()
        expect(page.locator("#earlier-taken")).to_have_value("")
