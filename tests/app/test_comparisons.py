"""Two photos of one spot: judged separately, and never called unchanged."""

import io
import re
import time
from datetime import UTC, date, datetime, timedelta

import painter
import pytest
from PIL import ExifTags, Image
from pypdf import PdfReader
from visitor import PALE_PHOTO, PHOTO, SEA_PHOTO, result_address, text, token

from app import results
from app.photo_days import exif_day
from app.results import Results, StoreUnavailable
from lens.card import Card, OperatingPoint, for_all_kinds

SEE_A_DOCTOR = "Any change that you see is a reason to see a doctor, whatever the two verdicts say."
BENIGN, MALIGNANT, CANNOT_JUDGE = "benign", "malignant", "cannot_judge"
PHOTOS = {BENIGN: PALE_PHOTO, MALIGNANT: PHOTO, CANNOT_JUDGE: SEA_PHOTO}


def taken_on(day: str, photo: bytes = PALE_PHOTO, kind: str = "JPEG") -> bytes:
    """The photo with a day in its EXIF data, as cameras write it."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = f"{day} 09:30:00"
    out = io.BytesIO()
    Image.open(io.BytesIO(photo)).save(out, kind, exif=exif.tobytes())
    return out.getvalue()


def upload_two(client, earlier: bytes | None, later: bytes | None, address="/compare", **days: str):
    form = {"csrf_token": token(client.get(address).get_data(as_text=True)), **days}
    for field, photo in (("earlier", earlier), ("later", later)):
        if photo is not None:
            form[field] = (io.BytesIO(photo), "name.jpg")
    return client.post(address, data=form)


def compare(client, earlier: bytes, later: bytes | None, address="/compare", **days: str):
    response = upload_two(client, earlier, later, address, **days)
    assert response.status_code == 303
    return client.get(response.headers["Location"])


def outcomes(page) -> list[str]:
    return re.findall(r'data-outcome="(\w+)"', page.get_data(as_text=True))


def banner(page) -> list[str]:
    return re.findall(r'data-verdict="(\w+)"', page.get_data(as_text=True))


def results_on(page) -> list[str]:
    return re.findall(r'href="(/result/[\w-]{22})"', page.get_data(as_text=True))


# What the page says.


@pytest.mark.parametrize("earlier", PHOTOS)
@pytest.mark.parametrize("later", PHOTOS)
def test_every_comparison_says_that_any_change_is_a_reason_to_see_a_doctor(client, earlier, later):
    page = compare(client, PHOTOS[earlier], PHOTOS[later])
    assert outcomes(page) == [earlier, later]
    assert SEE_A_DOCTOR in text(page)
    assert "Each verdict is based on one photo alone." in text(page)
    for sign in ("Size", "Shape", "Colour", "New signs"):
        assert sign in text(page)


@pytest.mark.parametrize("earlier", PHOTOS)
@pytest.mark.parametrize("later", PHOTOS)
def test_the_banner_is_malignant_if_either_verdict_is_and_absent_otherwise(client, earlier, later):
    page = compare(client, PHOTOS[earlier], PHOTOS[later])
    if MALIGNANT in (earlier, later):
        assert banner(page) == [MALIGNANT]
        assert "Make an appointment with a doctor" in text(page)
        assert "all the same" not in text(page)
    else:
        assert banner(page) == []


@pytest.mark.parametrize("earlier", PHOTOS)
@pytest.mark.parametrize("later", PHOTOS)
def test_a_reminder_is_offered_only_if_the_later_photo_is_benign_and_neither_is_malignant(
    client, earlier, later
):
    page = compare(client, PHOTOS[earlier], PHOTOS[later])
    offered = 'action="/reminder.ics"' in page.get_data(as_text=True)
    assert offered == (later == BENIGN and earlier != MALIGNANT)


UNCHANGED = {
    "en": "no change|unchanged|not changed|same as before|stable",
    "de": "keine veränderung|unverändert|nicht verändert|wie vorher|stabil",
    "es": "sin cambio|ningún cambio|no ha cambiado|igual que antes|estable",
    "fr": "aucun changement|pas changé|inchangé|comme avant|stable",
    "pt": "sem mudança|nenhuma mudança|não mudou|igual a antes|estável",
    "zh_Hans": "没有变化|无变化|未改变|没变|稳定",
}


@pytest.mark.parametrize("code", UNCHANGED)
@pytest.mark.parametrize("photo", PHOTOS.values(), ids=PHOTOS)
def test_the_same_photo_twice_is_never_called_unchanged(client, photo, code):
    address = upload_two(client, photo, photo).headers["Location"]
    page = text(client.get(f"{address}?lang={code}"))
    pdf = PdfReader(io.BytesIO(client.get(f"{address}/report.pdf").data))
    for words in (page, pdf.pages[0].extract_text()):
        assert not re.search(UNCHANGED[code], words.lower())


def test_an_uncalibrated_model_is_marked_wherever_its_verdict_is_shown(app):
    points = for_all_kinds(OperatingPoint(lesion_threshold=0.5))
    card = Card(name="any", calibrated=False, operating_points=points)
    object.__setattr__(app.extensions["molelens"], "card", card)
    client = app.test_client()
    address = upload_two(client, PHOTO, PALE_PHOTO).headers["Location"]
    page = client.get(address)
    pdf = PdfReader(io.BytesIO(client.get(f"{address}/report.pdf").data))
    assert "Uncalibrated model." in text(page)
    assert "Uncalibrated model." in text(client.get(f"{results_on(page)[0]}/compare"))
    assert "The model is uncalibrated" in pdf.pages[0].extract_text()


# Days.


def days_on(page) -> list[str]:
    return re.findall(r'<time datetime="([\d-]+)"', page.get_data(as_text=True))


def test_days_come_from_exif_or_from_the_form(client):
    page = compare(client, taken_on("2026:01:03"), PHOTO, later_taken="2026-04-05")
    assert days_on(page) == ["2026-01-03", "2026-04-05"]
    assert "Taken on January 3, 2026" in text(page)


def test_a_day_in_the_form_overrides_exif(client):
    page = compare(client, taken_on("2026:01:03"), PHOTO, earlier_taken="2025-12-24")
    assert days_on(page) == ["2025-12-24"]


def test_an_unknown_day_is_shown_as_not_given(client):
    assert text(compare(client, PALE_PHOTO, PHOTO)).count("Date not given") == 4


def test_the_photo_with_the_earlier_day_comes_first_in_whichever_field_it_was(client):
    page = compare(client, PHOTO, taken_on("2026:01:03"), earlier_taken="2026-04-05")
    assert outcomes(page) == [BENIGN, MALIGNANT]
    assert days_on(page) == ["2026-01-03", "2026-04-05"]


@pytest.mark.parametrize(
    "day", ["yesterday", "2026-02-30", "0001-01-01", "9999-12-31", "3.5.2026", "2026-05-03T10:00"]
)
def test_an_impossible_day_is_refused_with_a_message(client, day):
    response = upload_two(client, PALE_PHOTO, PHOTO, later_taken=day)
    assert response.status_code == 400
    assert "Later photo: This date is not possible" in text(response)


def test_a_day_is_accepted_if_it_has_begun_in_any_time_zone(client):
    today = datetime.now(UTC).date()
    for ahead, status in ((1, 303), (3, 400)):
        day = str(today + timedelta(days=ahead))
        assert upload_two(client, PALE_PHOTO, PHOTO, later_taken=day).status_code == status


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_the_exif_day_is_read_from_every_format(kind):
    assert exif_day(taken_on("2026:05:03", kind=kind)) == date(2026, 5, 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        PHOTO,
        taken_on("0000:00:00"),
        taken_on("last May"),
        taken_on("2026:05:03")[:60],
    ],
    ids=["empty", "text", "no EXIF", "zeros", "words", "truncated"],
)
def test_without_a_readable_exif_day_there_is_none(data):
    assert exif_day(data) is None


def test_days_are_never_logged(client, caplog):
    caplog.set_level("DEBUG", "molelens")
    page = compare(client, taken_on("2026:01:03"), PHOTO, later_taken="2026-04-05")
    assert page.status_code == 200
    logged = " ".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "/comparison/<key>" in logged
    for secret in ("2026-01-03", "2026:01:03", "2026-04-05", results_on(page)[0]):
        assert secret not in logged


# Starting from a result.


def test_a_result_links_to_a_form_that_asks_only_for_the_earlier_photo(client):
    address = result_address(client)
    form = client.get(address).get_data(as_text=True)
    assert f'href="{address}/compare"' in form
    page = client.get(f"{address}/compare").get_data(as_text=True)
    assert 'name="earlier"' in page
    assert 'name="later"' not in page
    assert 'name="later_taken"' in page


def test_a_result_is_compared_without_judging_it_again(client):
    address = result_address(client)
    page = compare(client, PALE_PHOTO, None, f"{address}/compare", later_taken="2026-04-05")
    assert outcomes(page) == [BENIGN, MALIGNANT]
    assert results_on(page)[1] == address
    assert days_on(page) == ["2026-04-05"]


def test_comparing_with_a_result_that_is_gone_says_so(client):
    response = client.get("/result/AAAAAAAAAAAAAAAAAAAAAA/compare")
    assert response.status_code == 404
    assert "This result is gone" in text(response)


# Refusals.


@pytest.mark.parametrize(
    ("earlier", "later", "status", "words"),
    [
        (None, PHOTO, 400, "Earlier photo: No photo was sent."),
        (PHOTO, None, 400, "Later photo: No photo was sent."),
        (b"text", PHOTO, 415, "Earlier photo: This file is not a photo we can read."),
        (PHOTO, b"", 422, "Later photo: The file is empty."),
    ],
)
def test_a_refusal_says_which_photo_it_is_about(client, earlier, later, status, words):
    response = upload_two(client, earlier, later)
    assert response.status_code == status
    assert words in text(response)
    assert "The photos were not compared." in text(response)


def test_if_one_photo_is_refused_neither_is_kept(app):
    store = app.extensions["molelens"].store.results
    kept = len(list(store._folder.iterdir()))
    assert upload_two(app.test_client(), PHOTO, b"text").status_code == 415
    assert len(list(store._folder.iterdir())) == kept


def test_after_a_refusal_the_form_still_refers_to_its_result(client):
    address = result_address(client)
    response = upload_two(client, b"text", None, f"{address}/compare")
    assert response.status_code == 415
    assert f'action="{address}/compare"' in response.get_data(as_text=True)


@pytest.mark.parametrize("room", [1, 2], ids=["for one photo", "for both, but no comparison"])
def test_a_full_store_is_reported_and_nothing_is_kept(make_app, room):
    app = make_app(RESULTS_MAX=str(room))
    response = upload_two(app.test_client(), PHOTO, PHOTO)
    assert response.status_code == 503
    assert "cannot keep results" in text(response)
    assert not list(app.extensions["molelens"].store.results._folder.iterdir())


def test_a_comparison_counts_as_two_photos_towards_the_rate_limit(make_app):
    client = make_app(RATE_LIMIT="3/day").test_client()
    assert upload_two(client, PHOTO, PHOTO).status_code == 303
    response = upload_two(client, PHOTO, PHOTO)
    assert response.status_code == 429
    assert "The photos were not compared." in text(response)


def test_a_form_without_a_csrf_token_is_refused(client):
    assert client.post("/compare", data={"csrf_token": "none"}).status_code == 400


# Lifetime and deletion.


def test_a_comparison_and_both_results_expire_with_the_older_result(client, monkeypatch):
    lifetime = client.application.extensions["molelens"].store.results.lifetime
    address = result_address(client)
    later = time.time() + lifetime / 2
    monkeypatch.setattr(results.time, "time", lambda: later)
    pair = upload_two(client, PALE_PHOTO, None, f"{address}/compare").headers["Location"]
    shown = results_on(client.get(pair))
    assert address in shown
    assert len(shown) == 2
    monkeypatch.setattr(results.time, "time", lambda: later + lifetime / 2 + 1)
    for gone in (pair, f"{pair}/report.pdf", *shown):
        assert client.get(gone).status_code == 404


def test_delete_deletes_both_results_and_the_comparison(client):
    address = upload_two(client, PALE_PHOTO, PHOTO).headers["Location"]
    page = client.get(address)
    form = {"csrf_token": token(page.get_data(as_text=True))}
    response = client.post(f"{address}/delete", data=form, follow_redirects=True)
    assert "Your photos and their results are deleted." in text(response)
    for gone in (address, *results_on(page)):
        assert client.get(gone).status_code == 404


@pytest.mark.parametrize("deleted", [0, 1], ids=["the earlier photo", "the later photo"])
def test_if_one_photo_was_deleted_a_comparison_leads_to_the_other(client, deleted):
    address = upload_two(client, PALE_PHOTO, PHOTO).headers["Location"]
    page = client.get(address)
    form = {"csrf_token": token(page.get_data(as_text=True))}
    shown = results_on(page)
    client.post(f"{shown[deleted]}/delete", data=form)
    assert client.get(address).headers["Location"] == shown[1 - deleted]
    assert client.get(f"{address}/report.pdf").status_code == 404
    client.post(f"{shown[1 - deleted]}/delete", data=form)
    response = client.get(address, follow_redirects=True)
    assert response.status_code == 404
    assert "This result is gone" in text(response)


def test_a_deletion_from_a_page_without_its_cookie_says_that_nothing_was_deleted(client):
    address = upload_two(client, PALE_PHOTO, PHOTO).headers["Location"]
    response = client.post(f"{address}/delete", data={"csrf_token": "none"})
    assert response.status_code == 400
    assert "Nothing was deleted." in text(response)
    assert client.get(address).status_code == 200


def test_after_a_failed_deletion_a_second_attempt_deletes_the_rest(client, monkeypatch):
    address = upload_two(client, PALE_PHOTO, PHOTO).headers["Location"]
    page = client.get(address)
    form = {"csrf_token": token(page.get_data(as_text=True))}
    second = results_on(page)[1]
    delete = Results.delete

    def fail_on_second(self, key):
        if second.endswith(key):
            raise StoreUnavailable("temporarily")
        delete(self, key)

    monkeypatch.setattr(Results, "delete", fail_on_second)
    assert client.post(f"{address}/delete", data=form).status_code == 503
    monkeypatch.undo()
    assert client.post(f"{address}/delete", data=form).status_code == 303
    assert client.get(second).status_code == 404


@pytest.mark.parametrize("kind", ["result", "comparison"])
def test_the_id_of_a_result_opens_no_comparison_and_vice_versa(client, kind):
    other = result_address(client) if kind == "comparison" else None
    other = other or upload_two(client, PALE_PHOTO, PHOTO).headers["Location"]
    assert client.get(f"/{kind}/{other.split('/')[-1]}").status_code == 404


# The report.


@pytest.mark.parametrize("code", ["en", "de", "es", "fr", "pt", "zh_Hans"])
@pytest.mark.parametrize("later", PHOTOS)
def test_the_report_is_one_page_with_both_photos_in_the_pages_language(client, code, later):
    earlier = taken_on("2026:01:03", painter.encoded(painter.lesion(1, painter.PALE)))
    address = upload_two(client, earlier, PHOTOS[later]).headers["Location"]
    client.get(f"{address}?lang={code}")
    pdf = PdfReader(io.BytesIO(client.get(f"{address}/report.pdf").data))
    assert len(pdf.pages) == 1
    assert len(pdf.pages[0].images) == 2
    assert "2026" in pdf.pages[0].extract_text()
    assert pdf.root_object["/Lang"] == code.replace("_", "-")


def test_the_report_starts_with_the_malignant_verdict(client):
    address = upload_two(client, PHOTO, PALE_PHOTO).headers["Location"]
    words = PdfReader(io.BytesIO(client.get(f"{address}/report.pdf").data)).pages[0].extract_text()
    assert words.index("Verdict: malignant") < words.index("Verdict: benign")
    assert SEE_A_DOCTOR in words.replace("\n", " ")
