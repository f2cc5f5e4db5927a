"""Comparing two photos in a browser."""

import base64
import re

import painter
import pytest
from icalendar import Calendar
from PIL import Image
from playwright.sync_api import Page, expect
from serving import wait_until

RESULT = re.compile(r"/result/[\w-]{22}$")
COMPARISON = re.compile(r"/comparison/[\w-]{22}$")
DESK = {"viewport": {"width": 1280, "height": 900}, "is_mobile": False, "has_touch": False}
WITH_AND_WITHOUT_SCRIPTS = pytest.mark.parametrize(
    "scripts", [True, False], ids=["with JavaScript", "without"]
)


def choose(page: Page, earlier, later, scripts: bool = True) -> None:
    for field, path in (("earlier", earlier), ("later", later)):
        page.set_input_files(f"#{field}-file", path)
        if scripts:
            expect(page.locator(f"#{field}-preview")).to_be_visible()
            expect(page.locator("#status")).to_contain_text("Photo chosen")


def compare(page: Page) -> None:
    page.get_by_role("button", name="Compare these photos").click()


def open_comparison(open_page, photos, earlier="pale.jpg", later="dark.jpg", **options) -> Page:
    page = open_page("/compare", **options)
    choose(page, photos[earlier], photos[later], options.get("java_script_enabled", True))
    compare(page)
    expect(page).to_have_url(COMPARISON)
    page.wait_for_load_state()  # The address changes before the page and its scripts are there.
    return page


def outcomes(page: Page) -> list[str | None]:
    cards = page.locator("[data-outcome]")
    expect(cards).to_have_count(2)
    return [cards.nth(i).get_attribute("data-outcome") for i in range(2)]


@WITH_AND_WITHOUT_SCRIPTS
def test_a_person_compares_two_photos_starting_from_the_first_page(open_page, photos, scripts):
    page = open_page(java_script_enabled=scripts)
    page.get_by_role("link", name="Compare with an earlier photo of the same spot").click()
    choose(page, photos["pale.jpg"], photos["dark.jpg"], scripts)
    compare(page)
    expect(page).to_have_url(COMPARISON)
    assert outcomes(page) == ["benign", "malignant"]
    expect(page.locator("h1")).to_have_text("Verdict: malignant")
    expect(page.get_by_text("Any change that you see is a reason to see a doctor")).to_be_visible()


@WITH_AND_WITHOUT_SCRIPTS
def test_a_person_compares_a_result_with_an_earlier_photo(open_page, photos, scripts):
    page = open_page(java_script_enabled=scripts)
    page.set_input_files("#file", photos["pale.jpg"])
    if scripts:
        expect(page.locator("#status")).to_contain_text("Photo chosen")
    page.get_by_role("button", name="Check this photo").click()
    expect(page).to_have_url(RESULT)
    page.get_by_role("link", name="Compare with an earlier photo", exact=True).click()
    page.set_input_files("#earlier-file", photos["dark.jpg"])
    if scripts:
        expect(page.locator("#status")).to_contain_text("Photo chosen")
    page.locator("#later-taken").fill("2026-04-15")
    compare(page)
    expect(page).to_have_url(COMPARISON)
    assert outcomes(page) == ["malignant", "benign"]
    expect(page.get_by_text("Taken on April 15, 2026")).to_be_visible()


def dated(folder, day: str):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = f"{day} 09:30:00"
    path = folder / "dated.jpg"
    Image.fromarray(painter.lesion(0, painter.PALE)).save(path, exif=exif.tobytes())
    return path


def test_the_exif_day_is_filled_in_although_cropping_removes_exif(open_page, photos, tmp_path):
    page = open_page("/compare")
    choose(page, dated(tmp_path, "2026:01:12"), photos["dark.jpg"])
    expect(page.locator("#earlier-taken")).to_have_value("2026-01-12")
    expect(page.locator("#later-taken")).to_have_value("")
    page.locator("#later-taken").fill("2026-04-15")
    compare(page)
    expect(page.get_by_text("Taken on January 12, 2026")).to_be_visible()
    expect(page.get_by_text("Taken on April 15, 2026")).to_be_visible()


@pytest.mark.parametrize("day", ["1980:01:01", "2097:05:03"])
def test_the_day_of_a_camera_whose_clock_is_wrong_is_ignored(open_page, photos, tmp_path, day):
    wrong = dated(tmp_path, day)
    page = open_page()
    page.set_input_files("#file", wrong)
    expect(page.locator("#status")).to_contain_text("Photo chosen")
    page.get_by_role("button", name="Check this photo").click()
    expect(page).to_have_url(RESULT)
    page.get_by_role("link", name="Compare with an earlier photo", exact=True).click()
    page.locator("#earlier-taken").fill("2026-01-12")
    page.set_input_files("#earlier-file", wrong)
    expect(page.locator("#status")).to_contain_text("Photo chosen")
    compare(page)
    expect(page).to_have_url(COMPARISON)
    expect(page.get_by_text("Taken on January 12, 2026")).to_be_visible()
    expect(page.locator(".undated")).to_have_count(1)


def test_the_page_remembers_the_exif_day_of_a_photo_that_was_judged_before(open_page, tmp_path):
    page = open_page()
    page.set_input_files("#file", dated(tmp_path, "2026:01:12"))
    expect(page.locator("#status")).to_contain_text("Photo chosen")
    page.get_by_role("button", name="Check this photo").click()
    expect(page).to_have_url(RESULT)
    page.get_by_role("link", name="Compare with an earlier photo", exact=True).click()
    expect(page.locator("#later-taken")).to_have_value("2026-01-12")


def test_without_javascript_the_server_reads_the_exif_day(open_page, photos, tmp_path):
    page = open_page("/compare", java_script_enabled=False)
    choose(page, dated(tmp_path, "2026:01:12"), photos["dark.jpg"], scripts=False)
    compare(page)
    expect(page.get_by_text("Taken on January 12, 2026")).to_be_visible()


# The slider.


def line(page: Page) -> float:
    """Position of the line, from 0 (left) to 1."""
    pair, edge = page.locator("#pair").bounding_box(), page.locator(".edge").bounding_box()
    return (edge["x"] + edge["width"] / 2 - pair["x"]) / pair["width"]


def expect_line(page: Page, position: float, tolerance: float = 0.02) -> None:
    """Wait for the line: browsers report a touch as done before the page has handled it."""
    wait_until(lambda: line(page) == pytest.approx(position, abs=tolerance))


def test_the_line_follows_the_mouse(open_page, photos):
    page = open_comparison(open_page, photos, **DESK)
    expect_line(page, 0.5)
    pair = page.locator("#pair").bounding_box()
    page.mouse.move(pair["x"] + pair["width"] * 0.5, pair["y"] + 200)
    page.mouse.down()
    page.mouse.move(pair["x"] + pair["width"] * 0.2, pair["y"] + 200, steps=4)
    expect_line(page, 0.2)
    page.mouse.up()
    page.mouse.move(pair["x"] + pair["width"] * 0.9, pair["y"] + 200)
    assert line(page) == pytest.approx(0.2, abs=0.02)


def test_the_line_follows_a_finger(open_page, photos):
    page = open_comparison(open_page, photos)
    page.locator("#pair").scroll_into_view_if_needed()
    pair = page.locator("#pair").bounding_box()
    x, y = pair["x"] + pair["width"] * 0.3, pair["y"] + 100
    page.touchscreen.tap(x, y)
    expect_line(page, 0.3)
    devtools = page.context.new_cdp_session(page)

    def touch(kind: str, *at: float) -> None:
        points = [{"x": at[0], "y": at[1]}] if at else []
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", x, y)
    for share in (0.4, 0.6, 0.8):
        touch("touchMove", pair["x"] + pair["width"] * share, y)
    touch("touchEnd")
    expect_line(page, 0.8)


def test_the_line_follows_the_arrow_keys_and_screen_readers_get_its_position(open_page, photos):
    page = open_comparison(open_page, photos, **DESK)
    slider = page.get_by_role("slider", name="Move the line between the two photos")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect_line(page, 0.51, 0.005)
    page.keyboard.press("Home")
    expect_line(page, 0, 0.01)
    page.keyboard.press("End")
    expect_line(page, 1, 0.01)
    expect(slider).to_have_attribute("aria-valuetext", "Earlier photo: 100%, later photo: the rest")


def test_left_of_the_line_is_the_earlier_photo_and_right_of_it_the_later(open_page, photos):
    page = open_comparison(open_page, photos, **DESK)  # A pale spot, then a dark one.
    decode = "images => Promise.all(images.map((image) => image.decode()))"
    page.locator("#pair img").evaluate_all(decode)  # A loaded image may not be painted yet.
    shot = page.locator("#pair").screenshot()
    brightness = page.evaluate(
        """async (data) => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const bitmap = await createImageBitmap(new Blob([bytes]));
            const canvas = document.createElement("canvas");
            canvas.width = bitmap.width;
            canvas.height = bitmap.height;
            const pen = canvas.getContext("2d");
            pen.drawImage(bitmap, 0, 0);
            const at = (share) => pen.getImageData(share * bitmap.width, bitmap.height / 2, 1, 1);
            return [0.42, 0.58].map((share) => at(share).data[0]);
        }""",
        base64.b64encode(shot).decode(),
    )
    assert brightness[0] > 140
    assert brightness[1] < 90


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "pt", "zh_Hans"])
def test_captions_over_the_photos_do_not_cover_the_spot(open_page, photos, language):
    page = open_comparison(open_page, photos, viewport={"width": 360, "height": 740})
    page.goto(f"{page.url}?lang={language}")
    pair = page.locator("#pair").bounding_box()
    for caption in page.locator("#pair figcaption").all():
        assert caption.bounding_box()["height"] < pair["height"] / 5


@pytest.mark.parametrize(
    "options", [{"java_script_enabled": False}, {}], ids=["scripts off", "print"]
)
def test_without_javascript_and_in_print_the_photos_are_side_by_side(open_page, photos, options):
    page = open_comparison(open_page, photos, **options)
    if not options:
        page.emulate_media(media="print")
    left, right = (page.locator("#pair img").nth(i).bounding_box() for i in range(2))
    assert left["x"] + left["width"] <= right["x"]
    assert left["y"] == right["y"]
    expect(page.locator("#slide")).to_be_hidden()


# Other functions of the pages.


def test_photos_can_be_compared_and_deleted_with_the_keyboard_only(open_page, photos):
    page = open_page("/compare", **DESK)
    for field, name in (("earlier", "pale.jpg"), ("later", "dark.jpg")):
        # Playwright does not wait until Chromium has opened the chooser.
        with page.expect_file_chooser() as chooser:
            tab_to(page, f"e.id === '{field}-file'")
            page.keyboard.press("Enter")
        chooser.value.set_files(photos[name])
        expect(page.locator("#status")).to_contain_text("Photo chosen")
    expect(page.get_by_role("button", name="Compare these photos")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(COMPARISON)
    page.wait_for_load_state()
    tab_to(page, "e.id === 'slide'")
    page.keyboard.press("ArrowLeft")
    expect_line(page, 0.49, 0.005)
    tab_to(page, "e.textContent.trim() === 'Delete now'")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("are deleted")


def tab_to(page: Page, condition: str) -> None:
    """Press Tab until the focused element ``e`` meets a JavaScript condition."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate(f"(() => {{ const e = document.activeElement; return {condition}; }})()"):
            return
    raise AssertionError(f"Tab never led to: {condition}")


@WITH_AND_WITHOUT_SCRIPTS
def test_an_error_says_which_photo_it_is_about(open_page, photos, scripts):
    page = open_page("/compare", java_script_enabled=scripts)
    choose(page, photos["text.jpg"], photos["dark.jpg"], scripts)
    compare(page)
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text("Earlier photo: This file is not a photo we can read")
    if scripts:  # The chosen photos are still there, so it is enough to replace one.
        page.locator("#earlier-other").click()
        page.set_input_files("#earlier-file", photos["pale.jpg"])
        expect(page.locator("#status")).to_contain_text("Photo chosen")
        compare(page)
        expect(page).to_have_url(COMPARISON)


def test_one_photo_cannot_be_sent_without_the_other(open_page, photos):
    page = open_page("/compare")
    page.set_input_files("#later-file", photos["dark.jpg"])
    expect(page.locator("#status")).to_contain_text("Photo chosen")
    compare(page)
    expect(page.get_by_role("alert")).to_contain_text("Choose both photos")


def test_each_photo_can_be_dropped_on_its_field(open_page, photos):
    page = open_page("/compare")
    for field, name in (("later", "dark.jpg"), ("earlier", "pale.jpg")):
        page.evaluate(
            """([field, data]) => {
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                const carrier = new DataTransfer();
                carrier.items.add(new File([bytes], "x.jpg", { type: "image/jpeg" }));
                const event = new DragEvent("drop", {
                    dataTransfer: carrier, bubbles: true, cancelable: true,
                });
                document.getElementById(`${field}-choose`).dispatchEvent(event);
            }""",
            [field, base64.b64encode(photos[name].read_bytes()).decode()],
        )
        expect(page.locator(f"#{field}-preview")).to_be_visible()
        expect(page.locator("#status")).to_contain_text("Photo chosen")
    compare(page)
    expect(page).to_have_url(COMPARISON)
    assert outcomes(page) == ["benign", "malignant"]


@WITH_AND_WITHOUT_SCRIPTS
def test_the_pdf_downloads(open_page, photos, scripts):
    page = open_comparison(open_page, photos, java_script_enabled=scripts)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as PDF").click()
    assert download.value.path().read_bytes().startswith(b"%PDF-")


@WITH_AND_WITHOUT_SCRIPTS
def test_the_reminder_downloads_as_a_calendar_file(open_page, photos, scripts):
    page = open_comparison(open_page, photos, later="pale.jpg", java_script_enabled=scripts)
    page.get_by_label("Remind me").select_option("in two months")
    with page.expect_download() as download:
        page.get_by_role("button", name="Add to my calendar").click()
    assert download.value.suggested_filename == "reminder.ics"
    assert len(Calendar.from_ical(download.value.path().read_bytes()).events) == 1
