"""Uploading a photo in a browser, from choosing it to reading the result."""

import base64
import re
import urllib.request

import pytest
from playwright.sync_api import Page, expect
from serving import wait_until

RESULT = re.compile(r"/result/[\w-]{22}$")
WAYS = (("drop", "dataTransfer"), ("paste", "clipboardData"))
"""Events that bring a photo, and where they carry it."""


def choose(page: Page, path) -> None:
    page.set_input_files("#file", path)
    expect(page.locator("#preview")).to_be_visible()
    expect(page.locator("#status")).to_contain_text("Photo chosen")


def check(page: Page) -> None:
    page.get_by_role("button", name="Check this photo").click()


def verdict_of(page: Page) -> str | None:
    expect(page).to_have_url(RESULT)
    return page.locator(".verdict").get_attribute("data-verdict")


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("dark.jpg", "malignant"), ("pale.jpg", "benign"), ("sea.jpg", "cannot_judge")],
)
@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_a_person_uploads_a_photo_and_reads_the_verdict(open_page, photos, name, verdict, scripts):
    page = open_page(java_script_enabled=scripts)
    page.set_input_files("#file", photos[name])
    if scripts:
        expect(page.locator("#status")).to_contain_text("Photo chosen")
    check(page)
    assert verdict_of(page) == verdict
    expect(page.locator("h1")).to_be_visible()


def test_the_camera_input_works_like_the_file_input(open_page, photos):
    page = open_page()
    expect(page.locator("#camera")).to_be_visible()
    assert page.locator("#camera").get_attribute("capture") == "environment"
    page.set_input_files("#camera", photos["dark.jpg"])
    expect(page.locator("#status")).to_contain_text("Photo chosen")
    check(page)
    assert verdict_of(page) == "malignant"


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        (None, "No photo was sent"),
        ("text.jpg", "This file is not a photo we can read"),
        ("large.jpg", "The file is too large"),
        ("empty.jpg", "The file is empty"),
        ("cut.jpg", "The photo is damaged or incomplete"),
        ("thumbnail.jpg", "The photo is too small"),
    ],
    ids=["no photo", "a text file", "too large", "empty", "truncated", "a thumbnail"],
)
def test_the_form_explains_each_error(open_page, photos, name, words, scripts):
    page = open_page(java_script_enabled=scripts)
    if name:
        page.set_input_files("#file", photos[name])
    if name and scripts:
        expect(page.locator("#status")).to_contain_text("Photo chosen")
    check(page)
    problem = page.get_by_role("alert")
    expect(problem).to_contain_text(words)
    expect(page.get_by_role("button", name="Check this photo")).to_be_enabled()


def test_a_photo_that_decodes_late_does_not_replace_one_chosen_after_it(open_page, photos):
    page = open_page()
    page.evaluate(
        """() => {
          const decode = window.createImageBitmap;
          let calls = 0;
          window.createImageBitmap = async (file) => {
            if (calls++ === 0) await new Promise((resolve) => { window.decodeFirst = resolve; });
            const bitmap = await decode(file);
            window.decoded = calls;
            return bitmap;
          };
        }"""
    )
    page.set_input_files("#file", photos["dark.jpg"])
    choose(page, photos["pale.jpg"])
    page.evaluate("() => { window.decoded = 0; window.decodeFirst(); }")
    page.wait_for_function("() => window.decoded > 0")
    check(page)
    assert verdict_of(page) == "benign"


def test_more_than_ten_photos_are_refused_with_a_message(open_page, photos):
    page = open_page()
    page.set_input_files("#file", [photos["dark.jpg"]] * 11)
    expect(page.locator("#status")).to_contain_text("Photos chosen: 11.")
    check(page)
    expect(page.get_by_role("alert")).to_contain_text("Send at most 10")


def test_a_form_without_its_cookie_says_so_and_works_the_next_time(open_page, photos):
    page = open_page()
    choose(page, photos["dark.jpg"])
    page.context.clear_cookies()
    check(page)
    expect(page.get_by_role("alert")).to_contain_text("did not send its cookie")
    check(page)
    assert verdict_of(page) == "malignant"


def test_during_an_upload_the_page_shows_progress_and_the_photo_cannot_change(open_page, photos):
    page = open_page()
    choose(page, photos["dark.jpg"])
    page.route("**/upload", lambda _route: None)  # The answer never arrives.
    check(page)
    expect(page.get_by_role("status")).to_contain_text("Sending the photo")
    expect(page.get_by_role("status")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("progressbar")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="Check this photo")).to_be_disabled()
    expect(page.get_by_role("button", name="Choose another photo")).to_be_disabled()
    for kind, field in WAYS:
        carry(page, kind, field, photos["pale.jpg"])
    expect(page.get_by_role("progressbar")).to_be_visible()


def test_a_photo_cannot_be_sent_twice_while_the_page_is_still_loading(open_page, photos):
    page = open_page()
    page.add_init_script("""
        addEventListener("pageshow", () => { document.documentElement.dataset.shown = "yes"; });
        document.addEventListener("DOMContentLoaded", () => {
          document.body.append(Object.assign(new Image(), { src: "/slow.png" }));
        });
    """)
    slow = []
    page.route("**/slow.png", lambda route: slow.append(route))
    page.route("**/upload", lambda _route: None)  # The answer never arrives.
    page.goto(page.url, wait_until="domcontentloaded")
    choose(page, photos["dark.jpg"])
    check(page)
    expect(page.get_by_role("status")).to_contain_text("Sending the photo")
    slow[0].abort()
    expect(page.locator("html[data-shown]")).to_have_count(1)
    expect(page.get_by_role("button", name="Check this photo")).to_be_disabled()


def test_after_an_error_another_photo_can_be_sent(open_page, photos):
    page = open_page()
    choose(page, photos["text.jpg"])
    check(page)
    expect(page.get_by_role("alert")).to_be_focused()
    page.get_by_role("button", name="Choose another photo").click()
    choose(page, photos["dark.jpg"])
    expect(page.get_by_role("alert")).to_be_hidden()
    check(page)
    assert verdict_of(page) == "malignant"


def test_a_lost_connection_is_reported(open_page, photos):
    page = open_page()
    choose(page, photos["dark.jpg"])
    page.route("**/upload", lambda route: route.abort())
    check(page)
    expect(page.get_by_role("alert")).to_contain_text("The connection was lost")


def crop_box(page: Page) -> dict[str, float]:
    return page.locator("#crop").bounding_box()


def test_the_crop_moves_by_mouse_and_keys_and_only_its_content_is_judged(open_page, photos):
    page = open_page(viewport={"width": 1280, "height": 900}, is_mobile=False)
    choose(page, photos["wide.jpg"])
    start = crop_box(page)
    assert start["width"] == pytest.approx(start["height"], abs=2)

    page.mouse.move(start["x"] + 50, start["y"] + 50)
    page.mouse.down()
    page.mouse.move(start["x"] + 110, start["y"] + 50)
    page.mouse.up()
    assert crop_box(page)["x"] > start["x"] + 20

    page.locator("#crop-size").focus()
    page.keyboard.press("Home")
    small = crop_box(page)
    assert small["width"] < start["width"] / 5
    page.locator("#crop-x").focus()
    expect(page.locator("#crop-x")).to_be_visible()
    page.keyboard.press("Home")
    page.locator("#crop-y").focus()
    page.keyboard.press("Home")
    assert crop_box(page)["x"] < small["x"]

    check(page)  # A corner with skin only: whatever the verdict, the dark spot is not in the photo.
    expect(page).to_have_url(RESULT)
    pixel = page.evaluate(
        """async () => {
            const image = document.querySelector(".layers img");
            await image.decode();
            const pen = document.createElement("canvas").getContext("2d");
            pen.drawImage(image, 0, 0, 1, 1);
            return [...pen.getImageData(0, 0, 1, 1).data];
        }"""
    )
    assert pixel[0] > 200


def test_the_corner_resizes_the_square_and_a_tap_outside_moves_it_there(open_page, photos):
    page = open_page()
    choose(page, photos["wide.jpg"])
    page.locator("#stage").scroll_into_view_if_needed()
    corner = page.locator("#corner").bounding_box()
    before = crop_box(page)
    page.mouse.move(corner["x"] + 30, corner["y"] + 30)
    page.mouse.down()
    page.mouse.move(corner["x"] - 70, corner["y"] - 70)
    page.mouse.up()
    smaller = crop_box(page)
    assert smaller["width"] < before["width"] - 60
    stage = page.locator("#stage").bounding_box()
    page.touchscreen.tap(stage["x"] + stage["width"] - 8, stage["y"] + stage["height"] - 8)
    # Chromium reports a touch as done before the page has handled it.
    wait_until(lambda: crop_box(page)["x"] > smaller["x"])


def carry(page: Page, kind: str, field: str, photo) -> None:
    """Drop or paste a photo."""
    page.evaluate(
        """([kind, field, data]) => {
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            const carrier = new DataTransfer();
            carrier.items.add(new File([bytes], "x.jpg", { type: "image/jpeg" }));
            const event = kind === "drop"
                ? new DragEvent(kind, { [field]: carrier, bubbles: true, cancelable: true })
                : new ClipboardEvent(kind, { [field]: carrier, bubbles: true });
            document.querySelector("#form").dispatchEvent(event);
        }""",
        [kind, field, base64.b64encode(photo.read_bytes()).decode()],
    )


def test_a_photo_can_be_dropped_or_pasted(open_page, photos):
    for kind, field in WAYS:
        page = open_page()
        carry(page, kind, field, photos["dark.jpg"])
        expect(page.locator("#preview")).to_be_visible()
        check(page)
        assert verdict_of(page) == "malignant"


def tab_to(page: Page, condition: str) -> None:
    """Press Tab until the focused element ``e`` meets a JavaScript condition."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate(f"(() => {{ const e = document.activeElement; return {condition}; }})()"):
            return
    raise AssertionError(f"Tab never led to: {condition}")


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_a_photo_can_be_checked_and_deleted_with_the_keyboard_only(open_page, photos, scripts):
    desktop = {"viewport": {"width": 1280, "height": 900}, "is_mobile": False, "has_touch": False}
    page = open_page(java_script_enabled=scripts, **desktop)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    # Playwright does not wait until Chromium has opened the chooser.
    with page.expect_file_chooser() as chooser:
        tab_to(page, "e.id === 'file'")
        page.keyboard.press("Enter")
    chooser.value.set_files(photos["dark.jpg"])
    if scripts:
        expect(page.get_by_role("button", name="Check this photo")).to_be_focused()
    else:
        tab_to(page, "e.id === 'send'")
    page.keyboard.press("Enter")
    expect(page).to_have_url(RESULT)
    page.wait_for_load_state()
    tab_to(page, "e.id === 'show-heat'")
    page.keyboard.press("Space")
    expect(page.locator(".heat")).to_be_visible()
    tab_to(page, "e.textContent.trim() === 'Delete now'")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("are deleted")


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_the_checkbox_shows_the_heat_map(open_page, photos, scripts):
    page = open_page(java_script_enabled=scripts)
    page.set_input_files("#file", photos["dark.jpg"])
    if scripts:
        expect(page.locator("#status")).to_contain_text("Photo chosen")
    check(page)
    expect(page.locator(".heat")).to_be_hidden()
    page.get_by_label("Show what counted towards malignant").check()
    expect(page.locator(".heat")).to_be_visible()
    expect(page.locator(".heat-words")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_the_pdf_downloads_and_delete_deletes(open_page, photos, scripts):
    page = open_page(java_script_enabled=scripts)
    page.set_input_files("#file", photos["dark.jpg"])
    if scripts:
        expect(page.locator("#status")).to_contain_text("Photo chosen")
    check(page)
    expect(page).to_have_url(RESULT)
    address = page.url
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as PDF").click()
    assert download.value.path().read_bytes().startswith(b"%PDF-")
    page.get_by_role("button", name="Delete now").click()
    expect(page.get_by_role("status").first).to_contain_text("are deleted")
    page.goto(address)
    expect(page.locator("#words")).to_contain_text("This result is gone")


def test_the_file_name_is_not_sent(open_page, photos):
    page = open_page()
    choose(page, photos["dark.jpg"])
    with page.expect_request("**/upload") as sent:
        check(page)
    expect(page).to_have_url(RESULT)
    assert "dark.jpg" not in (sent.value.post_data_buffer or b"").decode("latin-1")


def test_a_body_over_the_limit_gets_an_answer_instead_of_a_connection_reset(served):
    """The server must read the whole body, or the connection is reset before the answer arrives."""
    request = urllib.request.Request(
        f"{served}/api/v1/predictions", bytes(30_000_000), method="POST"
    )
    request.add_header("Content-Type", "multipart/form-data; boundary=x")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=60)
    assert error.value.code == 413


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without"])
def test_several_photos_lead_to_an_overview_and_each_result_opens(open_page, photos, scripts):
    page = open_page(java_script_enabled=scripts)
    page.set_input_files("#file", [photos[name] for name in ("dark.jpg", "text.jpg", "sea.jpg")])
    if scripts:
        expect(page.locator("#status")).to_contain_text("Photos chosen: 3.")
    check(page)
    outcomes = page.locator("[data-outcome]")
    expect(outcomes).to_have_count(3)
    shown = [outcomes.nth(i).get_attribute("data-outcome") for i in range(3)]
    assert shown == ["malignant", "unsupported_format", "cannot_judge"]
    page.get_by_role("link", name="Verdict: malignant").click()
    assert verdict_of(page) == "malignant"
    page.go_back()
    page.get_by_role("button", name="Delete all now").click()
    expect(page.get_by_role("status").first).to_contain_text("are deleted")


LANGUAGES = [
    ("es", "Revisar esta foto", "Veredicto: benigno"),
    ("de-AT", "Dieses Foto prüfen", "Urteil: gutartig"),
    ("fr-CA", "Vérifier cette photo", "Verdict : bénin"),
    ("pt-BR", "Verificar esta foto", "Veredito: benigno"),
    ("zh-CN", "检查这张照片", "判断：良性"),
]


@pytest.mark.parametrize(("locale", "button", "verdict"), LANGUAGES)
def test_the_pages_of_each_language_work_and_fit_a_small_phone(
    open_page, photos, locale, button, verdict
):
    page = open_page(locale=locale, viewport={"width": 320, "height": 640})
    # Not innerWidth: on a phone, that grows with a page that is too wide.
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.evaluate(fits)
    page.set_input_files("#file", photos["pale.jpg"])
    expect(page.locator("#controls")).to_be_visible()
    page.get_by_role("button", name=button).click()
    expect(page.locator("h1")).to_have_text(verdict)
    page.wait_for_load_state()
    assert page.evaluate(fits)


def test_the_language_can_be_chosen_without_javascript_and_is_remembered(open_page):
    page = open_page("/privacy", java_script_enabled=False)
    page.get_by_role("link", name="Deutsch").click()
    expect(page.locator("h1")).to_have_text("Was mit Ihrem Foto geschieht")
    page.get_by_role("link", name="Über das Modell").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
