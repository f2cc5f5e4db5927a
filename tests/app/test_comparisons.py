"""Two photos of one spot: judged each by itself, and never said to be unchanged."""

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

WORDS = "Any change that you see is a reason to see a doctor, whatever the two verdicts say."
BENIGN, MALIGNANT, UNJUDGED = "benign", "malignant", "cannot_judge"
PHOTOS = {BENIGN: PALE_PHOTO, MALIGNANT: PHOTO, UNJUDGED: SEA_PHOTO}


def taken_on(day: str, photo: bytes = PALE_PHOTO, kind: str = "JPEG") -> bytes:
    """The photo with a day in its EXIF data, as a camera writes it."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = f"{day} 09:30:00"
    out = io.BytesIO()
    Image.open(io.BytesIO(photo)).save(out, kind, exif=exif.tobytes())
    return out.getvalue()


def send(client, earlier: bytes | None, later: bytes | None, address="/compare", **days: str):
    form = {"csrf_token": token(client.get(address).get_data(as_text=True)), **days}
    for field, photo in (("earlier", earlier), ("later", later)):
        if photo is not None:
            form[field] = (io.BytesIO(photo), "name.jpg")
    return client.post(address, data=form)


def compared(client, earlier: bytes, later: bytes | None, address="/compare", **days: str):
    response = send(client, earlier, later, address, **days)
    assert response.status_code == 303
    return client.get(response.headers["Location"])


def outcomes(page) -> list[str]:
    return re.findall(r'data-outcome="(\w+)"', page.get_data(as_text=True))


def banner(page) -> list[str]:
    return re.findall(r'data-verdict="(\w+)"', page.get_data(as_text=True))


def results_on(page) -> list[str]:
    return re.findall(r'href="(/result/[\w-]{22})"', page.get_data(as_text=True))


# What is said.


@pytest.mark.parametrize("earlier", PHOTOS)
@pytest.mark.parametrize("later", PHOTOS)
def test_every_pair_says_that_any_change_is_a_reason_to_see_a_doctor(client, earlier, later):
    page = compared(client, PHOTOS[earlier], PHOTOS[later])
    assert outcomes(page) == [earlier, later]
    assert WORDS in text(page)
    assert "Each verdict is based on one photo alone." in text(page)
    for sign in ("Size", "Shape", "Colour", "New signs"):
        assert sign in text(page)


@pytest.mark.parametrize("earlier", PHOTOS)
@pytest.mark.parametrize("later", PHOTOS)
def test_one_malignant_verdict_is_enough_and_nothing_else_leads_the_page(client, earlier, later):
    page = compared(client, PHOTOS[earlier], PHOTOS[later])
    if MALIGNANT in (earlier, later):
        assert banner(page) == [MALIGNANT]
        assert "Make an appointment with a doctor" in text(page)
        assert "all the same" not in text(page)
    else:
        assert banner(page) == []


@pytest.mark.parametrize("earlier", PHOTOS)
@pytest.mark.parametrize("later", PHOTOS)
def test_a_reminder_is_offered_after_benign_alone(client, earlier, later):
    page = compared(client, PHOTOS[earlier], PHOTOS[later])
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
def test_the_same_photo_twice_is_not_said_to_be_unchanged(client, photo, code):
    address = send(client, photo, photo).headers["Location"]
    page = text(client.get(f"{address}?lang={code}"))
    pdf = PdfReader(io.BytesIO(client.get(f"{address}/report.pdf").data))
    for words in (page, pdf.pages[0].extract_text()):
        assert not re.search(UNCHANGED[code], words.lower())


def test_an_uncalibrated_model_is_marked_wherever_its_verdict_stands(app):
    points = for_all_kinds(OperatingPoint(lesion_threshold=0.5))
    card = Card(name="any", calibrated=False, operating_points=points)
    object.__setattr__(app.extensions["molelens"], "card", card)
    client = app.test_client()
    address = send(client, PHOTO, PALE_PHOTO).headers["Location"]
    page = client.get(address)
    pdf = PdfReader(io.BytesIO(client.get(f"{address}/report.pdf").data))
    assert "Uncalibrated model." in text(page)
    assert "Uncalibrated model." in text(client.get(f"{results_on(page)[0]}/compare"))
    assert "The model is uncalibrated" in pdf.pages[0].extract_text()


# Days.


def days_on(page) -> list[str]:
    return re.findall(r'<time datetime="([\d-]+)"', page.get_data(as_text=True))


def test_the_days_come_from_exif_or_are_as_given(client):
    page = compared(client, taken_on("2026:01:03"), PHOTO, later_taken="2026-04-05")
    assert days_on(page) == ["2026-01-03", "2026-04-05"]
    assert "Taken on January 3, 2026" in text(page)


def test_a_day_that_is_given_wins_over_the_files(client):
    page = compared(client, taken_on("2026:01:03"), PHOTO, earlier_taken="2025-12-24")
    assert days_on(page) == ["2025-12-24"]


def test_a_day_that_nobody_knows_is_said_not_to_be_known(client):
    assert text(compared(client, PALE_PHOTO, PHOTO)).count("Date not given") == 4


def test_the_photo_of_the_earlier_day_stands_first_wherever_it_was_put(client):
    page = compared(client, PHOTO, taken_on("2026:01:03"), earlier_taken="2026-04-05")
    assert outcomes(page) == [BENIGN, MALIGNANT]
    assert days_on(page) == ["2026-01-03", "2026-04-05"]


@pytest.mark.parametrize(
    "day", ["yesterday", "2026-02-30", "0001-01-01", "9999-12-31", "3.5.2026", "2026-05-03T10:00"]
)
def test_what_is_no_day_is_refused_in_words(client, day):
    response = send(client, PALE_PHOTO, PHOTO, later_taken=day)
    assert response.status_code == 400
    assert "Later photo: This date is not possible" in text(response)


def test_a_day_still_to_come_is_refused_but_not_where_it_has_begun(client):
    today = datetime.now(UTC).date()
    for ahead, status in ((1, 303), (3, 400)):
        day = str(today + timedelta(days=ahead))
        assert send(client, PALE_PHOTO, PHOTO, later_taken=day).status_code == status


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_the_day_is_read_from_every_format(kind):
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
    ids=["nothing", "text", "no EXIF", "zeros", "words", "cut off"],
)
def test_where_no_day_can_be_read_there_is_none(data):
    assert exif_day(data) is None


def test_no_day_is_logged(client, caplog):
    caplog.set_level("DEBUG", "molelens")
    page = compared(client, taken_on("2026:01:03"), PHOTO, later_taken="2026-04-05")
    assert page.status_code == 200
    logged = " ".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "/comparison/<key>" in logged
    for trace in ("2026-01-03", "2026:01:03", "2026-04-05", results_on(page)[0]):
        assert trace not in logged


# From a result.


def test_a_result_leads_to_a_form_that_asks_for_the_earlier_photo_alone(client):
    address = result_address(client)
    form = client.get(address).get_data(as_text=True)
    assert f'href="{address}/compare"' in form
    page = client.get(f"{address}/compare").get_data(as_text=True)
    assert 'name="earlier"' in page
    assert 'name="later"' not in page
    assert 'name="later_taken"' in page


def test_a_result_is_compared_without_judging_it_again(client):
    address = result_address(client)
    page = compared(client, PALE_PHOTO, None, f"{address}/compare", later_taken="2026-04-05")
    assert outcomes(page) == [BENIGN, MALIGNANT]
    assert results_on(page)[1] == address
    assert days_on(page) == ["2026-04-05"]


def test_a_result_that_is_gone_is_said_to_be(client):
    response = client.get("/result/AAAAAAAAAAAAAAAAAAAAAA/compare")
    assert response.status_code == 404
    assert "This result is gone" in text(response)


# What is refused.


@pytest.mark.parametrize(
    ("earlier", "later", "status", "words"),
    [
        (None, PHOTO, 400, "Earlier photo: No photo was sent."),
        (PHOTO, None, 400, "Later photo: No photo was sent."),
        (b"text", PHOTO, 415, "Earlier photo: This file is not a photo we can read."),
        (PHOTO, b"", 422, "Later photo: The file is empty."),
    ],
)
def test_a_refusal_says_which_photo_is_meant(client, earlier, later, status, words):
    response = send(client, earlier, later)
    assert response.status_code == status
    assert words in text(response)
    assert "The photos were not compared." in text(response)


def test_where_one_photo_is_refused_none_is_kept(app):
    store = app.extensions["molelens"].store.results
    kept = len(list(store._folder.iterdir()))
    assert send(app.test_client(), PHOTO, b"text").status_code == 415
    assert len(list(store._folder.iterdir())) == kept


def test_a_refusal_on_a_results_own_form_keeps_the_result(client):
    address = result_address(client)
    response = send(client, b"text", None, f"{address}/compare")
    assert response.status_code == 415
    assert f'action="{address}/compare"' in response.get_data(as_text=True)


def test_a_full_store_is_said_in_words(make_app):
    response = send(make_app(RESULTS_MAX="1").test_client(), PHOTO, PHOTO)
    assert response.status_code == 503
    assert "cannot keep results" in text(response)


def test_a_comparison_counts_as_two_photos_towards_the_limit(make_app):
    client = make_app(RATE_LIMIT="3/minute").test_client()
    assert send(client, PHOTO, PHOTO).status_code == 303
    response = send(client, PHOTO, PHOTO)
    assert response.status_code == 429
    assert "The photos were not compared." in text(response)


def test_a_form_without_its_token_is_refused(client):
    assert client.post("/compare", data={"csrf_token": "none"}).status_code == 400


# How long it is kept.


def test_a_comparison_is_gone_with_the_older_of_its_results(client, monkeypatch):
    lifetime = client.application.extensions["molelens"].store.results.lifetime
    address = result_address(client)
    later = time.time() + lifetime / 2
    monkeypatch.setattr(results.time, "time", lambda: later)
    pair = send(client, PALE_PHOTO, None, f"{address}/compare").headers["Location"]
    assert client.get(pair).status_code == 200
    monkeypatch.setattr(results.time, "time", lambda: later + lifetime / 2 + 1)
    for gone in (pair, f"{pair}/report.pdf", address):
        assert client.get(gone).status_code == 404


def test_delete_deletes_both_results_and_the_comparison(client):
    address = send(client, PALE_PHOTO, PHOTO).headers["Location"]
    page = client.get(address)
    form = {"csrf_token": token(page.get_data(as_text=True))}
    response = client.post(f"{address}/delete", data=form, follow_redirects=True)
    assert "Your photos and their results are deleted." in text(response)
    for gone in (address, *results_on(page)):
        assert client.get(gone).status_code == 404


def test_without_one_of_its_photos_a_comparison_is_gone(client):
    address = send(client, PALE_PHOTO, PHOTO).headers["Location"]
    page = client.get(address)
    form = {"csrf_token": token(page.get_data(as_text=True))}
    client.post(f"{results_on(page)[1]}/delete", data=form)
    response = client.get(address)
    assert response.status_code == 404
    assert "This result is gone" in text(response)


def test_what_could_not_be_deleted_is_deleted_when_asked_again(client, monkeypatch):
    address = send(client, PALE_PHOTO, PHOTO).headers["Location"]
    page = client.get(address)
    form = {"csrf_token": token(page.get_data(as_text=True))}
    second = results_on(page)[1]
    delete = Results.delete

    def fails_once(self, key):
        if second.endswith(key):
            raise StoreUnavailable("for a moment")
        delete(self, key)

    monkeypatch.setattr(Results, "delete", fails_once)
    assert client.post(f"{address}/delete", data=form).status_code == 503
    monkeypatch.undo()
    assert client.post(f"{address}/delete", data=form).status_code == 303
    assert client.get(second).status_code == 404


@pytest.mark.parametrize("kind", ["result", "comparison"])
def test_the_id_of_one_kind_leads_to_no_page_of_the_other(client, kind):
    other = result_address(client) if kind == "comparison" else None
    other = other or send(client, PALE_PHOTO, PHOTO).headers["Location"]
    assert client.get(f"/{kind}/{other.split('/')[-1]}").status_code == 404


# On paper.


@pytest.mark.parametrize("code", ["en", "de", "es", "fr", "pt", "zh_Hans"])
@pytest.mark.parametrize("later", PHOTOS)
def test_the_report_is_one_page_with_both_photos_in_the_pages_language(client, code, later):
    earlier = taken_on("2026:01:03", painter.encoded(painter.lesion(1, painter.PALE)))
    address = send(client, earlier, PHOTOS[later]).headers["Location"]
    client.get(f"{address}?lang={code}")
    pdf = PdfReader(io.BytesIO(client.get(f"{address}/report.pdf").data))
    assert len(pdf.pages) == 1
    assert len(pdf.pages[0].images) == 2
    assert "2026" in pdf.pages[0].extract_text()
    assert pdf.root_object["/Lang"] == code.replace("_", "-")


def test_the_report_leads_with_the_malignant_verdict(client):
    address = send(client, PHOTO, PALE_PHOTO).headers["Location"]
    words = PdfReader(io.BytesIO(client.get(f"{address}/report.pdf").data)).pages[0].extract_text()
    assert words.index("Verdict: malignant") < words.index("Verdict: benign")
    assert WORDS in words.replace("\n", " ")
