"""The pages, as a browser without JavaScript gets them."""

import dataclasses
import io
import json
import re
import time
from urllib.parse import urljoin

import painter
import pytest
from bad_files import TABLE
from PIL import Image
from pypdf import PdfReader
from visitor import PALE_PHOTO, PHOTO, SEA_PHOTO, result_address, text, token, upload, upload_all

from app import card_display, report, results
from app.result_text import REASONS
from app.results import Results, StoreUnavailable
from lens.card import Card, OperatingPoint, for_all_kinds
from lens.verdict import Reason


def test_the_form_posts_one_photo_with_a_token(client):
    page = client.get("/").get_data(as_text=True)
    assert 'method="post" action="/upload" enctype="multipart/form-data"' in page
    assert page.count('name="photo"') == 2
    assert 'capture="environment"' in page
    assert token(page)


def test_an_uploaded_photo_redirects_to_its_own_result(client):
    assert re.fullmatch(r"/result/[\w-]{22}", result_address(client))


@pytest.mark.parametrize(
    ("photo", "outcome", "words"),
    [
        (painter.lesion(), "malignant", "Have it checked by a doctor"),
        (painter.lesion(colour=painter.PALE), "benign", "not an all-clear"),
        (painter.sea(), "cannot_judge", "does not look like a close-up of a spot"),
        (painter.night(), "cannot_judge", "too dark"),
    ],
    ids=["malignant", "benign", "not a lesion", "too dark"],
)
def test_each_result_shows_its_outcome_and_what_to_do(client, photo, outcome, words):
    response = client.get(result_address(client, painter.encoded(photo)))
    assert f'data-verdict="{outcome}"' in response.get_data(as_text=True)
    assert words in text(response)
    assert "Asymmetry" in text(response)
    assert "Evolving" in text(response)
    assert "doctor" in text(response)


def test_a_result_without_a_verdict_shows_neither_benign_nor_a_probability(client):
    page = text(client.get(result_address(client, painter.encoded(painter.sea()))))
    assert "benign" not in page
    assert "Of 100 photos" not in page


def test_a_benign_result_says_what_the_model_misses(client):
    page = text(
        client.get(result_address(client, painter.encoded(painter.lesion(0, painter.PALE))))
    )
    assert "misses some malignant lesions" in page
    assert "about 88 of 100 malignant lesions and missed the others" in page


def test_the_probability_is_shown_as_a_natural_frequency(client):
    page = text(client.get(result_address(client)))
    assert re.search(
        r"Of 100 photos that look like this to the model, (about \d+|more than 99)", page
    )


def test_results_of_an_uncalibrated_model_are_marked_and_show_no_probability(app):
    service = app.extensions["molelens"]
    object.__setattr__(service, "card", Card(name="foreign"))
    client = app.test_client()
    address = result_address(client)
    page = text(client.get(address))
    assert "Uncalibrated model." in page
    assert "Of 100 photos" not in page
    assert "Uncalibrated model." in text(client.get("/about"))
    report = PdfReader(io.BytesIO(client.get(f"{address}/report.pdf").data))
    report_text = report.pages[0].extract_text()
    assert "Score: 0." in report_text
    assert "p(malignant)" not in report_text


def test_a_result_shows_the_model_that_judged_it_even_if_another_is_served_now(app):
    service, client = app.extensions["molelens"], app.test_client()
    card, sha256 = service.card, service.sha256
    object.__setattr__(service, "card", Card(name="foreign"))
    address = result_address(client)
    object.__setattr__(service, "card", card)
    object.__setattr__(service, "sha256", "f" * 64)
    page = text(client.get(address))
    assert "Uncalibrated model." in page
    assert "Of 100 photos" not in page
    assert "does not say how often it is right" in page
    report = PdfReader(io.BytesIO(client.get(f"{address}/report.pdf").data))
    report_text = report.pages[0].extract_text()
    assert "The model is uncalibrated" in report_text
    assert f"Model: foreign, SHA-256 {sha256}" in report_text
    assert "Measured on test photos" not in report_text


def test_the_photo_and_the_heat_map_are_served_as_images(client):
    address = result_address(client)
    for name, kind, mode in (("photo.jpg", "JPEG", "RGB"), ("heatmap.png", "PNG", "RGBA")):
        response = client.get(f"{address}/{name}")
        picture = Image.open(io.BytesIO(response.data))
        assert (picture.format, picture.mode) == (kind, mode)
        assert response.headers["Cache-Control"] == "no-store"


def test_metadata_of_the_photo_is_never_kept(client):
    exif = Image.Exif()
    exif[0x010E] = "A secret place"
    photo = painter.encoded(painter.lesion(), exif=exif, comment=b"A secret comment")
    assert b"A secret place" in photo
    kept = client.get(f"{result_address(client, photo)}/photo.jpg").data
    assert b"secret" not in kept
    assert not Image.open(io.BytesIO(kept)).getexif()


def test_the_report_downloads_as_a_pdf(client):
    response = client.get(f"{result_address(client)}/report.pdf")
    assert response.data.startswith(b"%PDF-")
    assert response.headers["Content-Disposition"] == "attachment; filename=molelens-result.pdf"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("photo", [painter.lesion(0, painter.PALE), painter.sea()])
def test_every_outcome_has_a_report(client, photo):
    address = result_address(client, painter.encoded(photo))
    assert client.get(f"{address}/report.pdf").status_code == 200


@pytest.mark.parametrize(("name", "data", "status", "code"), TABLE, ids=[row[0] for row in TABLE])
def test_the_form_explains_why_a_bad_file_is_refused(client, name, data, status, code):
    response = upload(client, data)
    assert response.status_code == status
    assert f'data-code="{code}"' in response.get_data(as_text=True)
    assert "The photo was not judged." in text(response)
    assert "Your photo" in text(response)  # The form is shown again.


@pytest.mark.parametrize(
    ("name", "data", "advice"),
    [
        ("TIFF", painter.encoded(painter.lesion(), "TIFF"), "save it as a JPEG or PNG"),
        ("RAW", b"\0\0\0\x18ftypcrx " + bytes(90), "the JPEG that the camera saved too"),
        ("PDF", b"%PDF-1.7", "Send the photo itself"),
        ("MP4", b"\0\0\0\x18ftypisom" + bytes(90), "Send a photo instead"),
    ],
)
def test_the_form_names_known_file_types_and_says_what_to_do(client, name, data, advice):
    page = text(upload(client, data))
    assert name in page
    assert advice in page
    assert "damaged" not in page


def test_the_form_explains_that_no_photo_was_sent(client):
    response = upload(client, None)
    assert response.status_code == 400
    assert "No photo was sent" in text(response)


def test_the_form_explains_that_a_photo_is_too_large(make_app):
    client = make_app(MAX_UPLOAD="1").test_client()
    response = upload(client, bytes(1_100_000))
    assert response.status_code == 413
    assert "The file is too large" in text(response)


def test_a_full_store_is_reported_and_no_verdict_is_lost_silently(make_app):
    client = make_app(RESULTS_MAX="1").test_client()
    result_address(client)
    response = upload(client, PHOTO)
    assert response.status_code == 503
    assert "cannot keep results" in text(response)
    assert int(response.headers["Retry-After"]) > 0


def raise_unavailable(*_):
    raise StoreUnavailable("unreachable")


PAGES_OF_RESULTS = [
    ("get", "/result/any"),
    ("get", "/result/any/photo.jpg"),
    ("get", "/result/any/report.pdf"),
    ("get", "/results/any,other"),
    ("post", "/result/any/delete"),
    ("post", "/results/any,other/delete"),
]


@pytest.mark.parametrize(("method", "address"), PAGES_OF_RESULTS)
def test_while_results_cannot_be_reached_pages_make_no_claim_about_what_is_kept(
    client, monkeypatch, method, address
):
    for name in ("get", "delete"):
        monkeypatch.setattr(Results, name, raise_unavailable)
    form = {"csrf_token": token(client.get("/").get_data(as_text=True))}
    response = client.open(address, method=method, data=form if method == "post" else None)
    assert response.status_code == 503
    assert "nothing was shown or deleted" in text(response)
    assert "kept" not in text(response)
    assert int(response.headers["Retry-After"]) > 0


def test_if_a_result_cannot_be_stored_the_page_says_that_the_photo_was_not_kept(
    client, monkeypatch
):
    monkeypatch.setattr(Results, "put", raise_unavailable)
    assert "Your photo was not kept" in text(upload(client, PHOTO))


def test_delete_all_deletes_what_it_can_before_it_reports_an_error(client, monkeypatch):
    attempted = []

    def delete(_, key):
        attempted.append(key)
        if key == "first":
            raise_unavailable()

    monkeypatch.setattr(Results, "delete", delete)
    form = {"csrf_token": token(client.get("/").get_data(as_text=True))}
    assert client.post("/results/first,second/delete", data=form).status_code == 503
    assert attempted == ["first", "second"]


def test_a_busy_service_says_so(make_app):
    app = make_app(AT_ONCE="1", WAITING="0")
    admission = app.extensions["molelens"].admission
    response = admission.run(lambda: upload(app.test_client(), PHOTO))
    assert response.status_code == 503
    assert "MoleLens is busy" in text(response)


def test_an_internal_error_is_explained_without_a_verdict(app, monkeypatch):
    def fail(*_):
        raise RuntimeError("an error")

    monkeypatch.setattr("app.uploads.judge", fail)
    response = upload(app.test_client(), PHOTO)
    assert response.status_code == 500
    assert "was not judged" in text(response)
    assert "an error" not in text(response)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/upload", "Please choose the photo again"),
        ("/result/any/delete", "Nothing was deleted"),
        ("/results/any,other/delete", "Nothing was deleted"),
    ],
)
def test_a_form_without_a_csrf_token_is_refused(client, address, words):
    response = client.post(address, data={"photo": (io.BytesIO(PHOTO), "x")})
    assert response.status_code == 400
    assert words in text(response)


def test_delete_works_only_by_post_and_immediately(client):
    address = result_address(client)
    assert client.get(f"{address}/delete").status_code == 405
    page = client.get(address).get_data(as_text=True)
    response = client.post(f"{address}/delete", data={"csrf_token": token(page)})
    assert (response.status_code, response.headers["Location"]) == (303, "/")
    assert "are deleted" in text(client.get("/"))
    for part in ("", "/photo.jpg", "/heatmap.png", "/report.pdf"):
        assert client.get(address + part).status_code == 404


def test_an_unknown_result_is_a_404_page_that_says_it_is_gone(client):
    response = client.get("/result/AAAAAAAAAAAAAAAAAAAAAA")
    assert response.status_code == 404
    assert "This result is gone" in text(response)


def test_a_result_is_gone_after_its_lifetime(client, monkeypatch):
    address = result_address(client)
    assert "disappears in about 1" in text(client.get(address))
    later = time.time() + 901
    monkeypatch.setattr(results.time, "time", lambda: later)
    assert client.get(address).status_code == 404
    assert client.get(f"{address}/photo.jpg").status_code == 404


def test_a_large_upload_never_touches_the_disk(client, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a temporary file was created")

    for name in ("TemporaryFile", "SpooledTemporaryFile", "NamedTemporaryFile"):
        monkeypatch.setattr(f"tempfile.{name}", refuse)
    monkeypatch.setattr("werkzeug.formparser.TemporaryFile", refuse, raising=False)
    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", refuse, raising=False)
    photo = painter.encoded(painter.lesion(size=1600), "PNG")
    assert len(photo) > 1_000_000
    result_address(client, photo)


def test_every_reason_has_a_text():
    assert set(REASONS) == {str(reason) for reason in Reason}


# Headers, cookies, hosts.

PAGES = ["/", "/about", "/privacy", "/api/docs", "/nothing", "/healthz", "/static/style.css"]


@pytest.mark.parametrize("address", PAGES)
def test_every_response_has_strict_headers(client, address):
    headers = client.get(address).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert not any(word in policy for word in ("unsafe", "data:", "blob:", "http", "*"))
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "camera=(self)" in headers["Permissions-Policy"]
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in headers


@pytest.mark.parametrize("address", ["/", "/about", "/privacy", "/api/docs", "/nothing"])
def test_no_page_has_inline_scripts_inline_styles_or_links_to_other_sites(client, address):
    page = client.get(address).get_data(as_text=True)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))
    assert not re.search(r'(src|href)="(https?:)?//', page)


def test_a_result_page_has_no_inline_scripts_or_styles(client):
    page = client.get(result_address(client)).get_data(as_text=True)
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)


def test_over_https_the_cookie_is_secure_and_hsts_is_sent(client):
    response = client.get("/", base_url="https://localhost")
    assert "max-age=" in response.headers["Strict-Transport-Security"]
    cookie = response.headers["Set-Cookie"]
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=Lax"))


def test_over_https_the_form_works_without_a_referrer(client):
    page = client.get("/", base_url="https://localhost").get_data(as_text=True)
    form = {"csrf_token": token(page), "photo": (io.BytesIO(PHOTO), "x")}
    assert client.post("/upload", data=form, base_url="https://localhost").status_code == 303


def test_forwarded_headers_are_trusted_only_from_the_configured_number_of_proxies(make_app):
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "molelens.example"}
    direct = make_app().test_client().get("/", headers=forwarded)
    behind = make_app(PROXIES="1").test_client().get("/", headers=forwarded)
    assert "Strict-Transport-Security" not in direct.headers
    assert "Strict-Transport-Security" in behind.headers


def test_unknown_hosts_are_refused(make_app):
    client = make_app(HOSTS="molelens.example").test_client()
    assert client.get("/", base_url="http://molelens.example").status_code == 200
    assert client.get("/", base_url="http://evil.example").status_code == 400


def test_static_files_with_a_content_hash_in_their_url_are_cached_for_a_year(client):
    page = client.get("/").get_data(as_text=True)
    address = re.search(r'href="(/static/style\.css\?v=\w+)"', page)[1]
    assert "immutable" in client.get(address).headers["Cache-Control"]
    assert "immutable" not in client.get("/static/style.css").headers.get("Cache-Control", "")


@pytest.mark.parametrize("name", ["a" * 300, "../wsgi.py", "..%2Fwsgi.py"])
def test_an_unknown_static_file_is_a_404_page_that_reveals_nothing_about_files(client, name):
    response = client.get(f"/static/{name}")
    assert response.status_code == 404
    assert "There is no page at this address." in text(response)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    links = re.findall(r'href="([^"]*lang=\w[^"]*)"', response.get_data(as_text=True))
    assert len(links) == 6
    assert not [link for link in links if "v=" in link]


def test_pages_are_never_cached(client):
    assert client.get("/").headers["Cache-Control"] == "no-store"


# The about page, with any card.

FIGURES = [
    (0.9, card_display.Figure(0.9)),
    ([0.9, 0.85, 0.95], card_display.Figure(0.9, 0.85, 0.95)),
    ([0.9, 0.85], None),
    ([0.9, 0.85, None], None),
    ({"value": 0.9}, None),
    (None, None),
    ("0.9", None),
    (float("nan"), None),
    (True, None),
]


@pytest.mark.parametrize(("entry", "expected"), FIGURES)
def test_a_figure_of_a_card_is_a_number_with_or_without_an_interval_or_is_ignored(entry, expected):
    assert card_display.card_figure({"test": {"pooled": {"auc": entry}}}, "auc") == expected


def test_the_about_page_shows_the_cards_figures_with_intervals(client):
    page = text(client.get("/about"))
    assert "0.931 (0.912\u20130.948)" in page
    assert "0.884" in page
    assert "painted" in page
    assert "tiny" in page


def test_the_about_page_shows_the_threshold_of_each_kind_of_photo(app):
    clinical = OperatingPoint(threshold=0.25, threshold_rule="a rule")
    points = {"clinical": clinical, "dermoscopic": OperatingPoint(threshold=0.125)}
    card = Card(name="two", operating_points=points)
    object.__setattr__(app.extensions["molelens"], "card", card)
    page = " ".join(text(app.test_client().get("/about")).split())
    assert "0.250 (clinical photos; a rule)" in page
    assert "0.125 (dermoscopic photos)" in page


@pytest.mark.parametrize(
    "card",
    [
        Card(name="empty"),
        Card(name="odd", metrics={"test": None, "auc": "?"}, training_data={"n": 3}),
        Card(name="odd", training_data={"ham10000": {"train": {"images": 3}}}),
    ],
    ids=["empty", "unexpected values", "nested counts"],
)
def test_the_about_page_works_with_incomplete_or_damaged_cards(app, card):
    object.__setattr__(app.extensions["molelens"], "card", card)
    assert app.test_client().get("/about").status_code == 200


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.0, "fewer than 1"), (0.004, "fewer than 1"), (0.07, "about 7"), (1.0, "more than 99")],
)
def test_a_frequency_is_never_shown_as_none_or_all(client, probability, words):
    with client.application.test_request_context():
        assert card_display.of_100(probability) == words


@pytest.mark.parametrize(
    ("probability", "threshold", "words"),
    [
        (0.276, 0.2, ("about 28", "20")),
        (0.2765, 0.27702, ("about 27.65", "27.7")),
        (0.27698, 0.27702, ("about 27.698", "27.702")),
        (0.277, 0.277, ("about 28", "27.7")),
        (0.004, 0.0045, ("fewer than 1", "0.4")),
    ],
)
def test_a_probability_is_never_shown_on_the_wrong_side_of_its_threshold(
    client, probability, threshold, words
):
    with client.application.test_request_context():
        assert card_display.counts_beside(probability, threshold) == words


def test_an_uncalibrated_score_is_never_shown_on_the_wrong_side_of_its_threshold(client):
    with client.application.test_request_context():
        assert card_display.scores_beside(0.496, 0.5) == ("0.496", "0.5")
        assert card_display.scores_beside(0.5, 0.5) == ("0.5", "0.5")


@pytest.mark.parametrize("calibrated", [True, False])
def test_a_pdf_never_shows_a_score_on_the_wrong_side_of_its_threshold(app, calibrated):
    client = app.test_client()
    key = result_address(client).removeprefix("/result/")
    result = app.extensions["molelens"].results.get(key)
    near = dataclasses.replace(result, probability=0.2769, threshold=0.277, calibrated=calibrated)
    with app.test_request_context():
        assert any("0.2769." in line and "0.277." in line for line in report.details(near))


def test_the_about_page_shows_first_how_often_it_is_right_on_close_ups(app):
    figures = {"auc": 0.847, "sensitivity": 0.966, "specificity": 0.301}
    pooled = {"auc": 0.924, "sensitivity": 0.962, "specificity": 0.575}
    metrics = {
        "test": {"pooled": pooled, "clinical": figures},
        "melanomas": {"pooled": {"n": 606, "found": 0.934}, "clinical": {"n": 46, "found": 0.826}},
        "ece": 0.026,
    }
    object.__setattr__(app.extensions["molelens"], "card", Card(name="two", metrics=metrics))
    page = " ".join(text(app.test_client().get("/about")).split())
    first, _, sources = page.partition("By source")
    assert "Close-ups by phone or camera" in first
    assert all(value in first for value in ("0.847", "0.966", "0.301", "0.826"))
    # The calibration error is known only for all photos together.
    assert not any(value in first for value in ("0.924", "0.575", "0.026"))
    assert "0.301" in sources


def test_reports_are_limited_like_photos_but_counted_separately(make_app):
    client = make_app(RATE_LIMIT="2/day").test_client()
    report = f"{result_address(client)}/report.pdf"
    assert [client.get(report).status_code for _ in range(3)] == [200, 200, 429]
    assert upload(client, PHOTO).status_code == 303


# Several photos in one form.


def test_each_of_several_photos_gets_a_result_even_if_another_is_refused(client):
    response = upload_all(client, [PHOTO, b"no photo", PALE_PHOTO])
    assert response.status_code == 303
    page = client.get(response.headers["Location"])
    outcomes = re.findall(r'data-outcome="(\w+)"', page.get_data(as_text=True))
    assert outcomes == ["malignant", "unsupported_format", "benign"]
    assert "This file is not a photo we can read" in text(page)
    assert "Verdict: benign. This is not an all-clear." in text(page)
    for address in re.findall(r'href="(/result/[\w-]{22})"', page.get_data(as_text=True)):
        assert client.get(address).status_code == 200


def test_ten_photos_are_accepted_and_eleven_are_refused(client):
    assert upload_all(client, [PHOTO] * 10).status_code == 303
    response = upload_all(client, [PHOTO] * 11)
    assert response.status_code == 400
    assert "Send at most 10" in text(response)


def test_a_form_accepts_no_more_photos_than_a_low_rate_limit_allows(make_app):
    client = make_app(RATE_LIMIT="3/day").test_client()
    assert "Up to 3 photos at once" in text(client.get("/"))
    response = upload_all(client, [PHOTO] * 4)
    assert response.status_code == 400
    assert "Send at most 3" in text(response)
    assert upload_all(client, [PHOTO] * 2).status_code == 303


@pytest.mark.parametrize(
    ("photos", "title"),
    [([PALE_PHOTO, PHOTO], "Verdict: malignant"), ([PALE_PHOTO, SEA_PHOTO], "Your results")],
)
def test_a_malignant_verdict_is_the_title_of_the_overview(client, photos, title):
    overview = client.get(upload_all(client, photos).headers["Location"])
    assert re.findall(r"<h1>([^<]+)</h1>", overview.get_data(as_text=True)) == [title]


def test_delete_all_deletes_every_result_of_the_overview(client):
    overview = upload_all(client, [PHOTO, PALE_PHOTO]).headers["Location"]
    page = client.get(overview).get_data(as_text=True)
    addresses = re.findall(r'href="(/result/[\w-]{22})"', page)
    assert len(addresses) == 2
    client.post(f"{overview}/delete", data={"csrf_token": token(page)})
    assert [client.get(address).status_code for address in addresses] == [404, 404]
    assert 'data-outcome="gone"' in client.get(overview).get_data(as_text=True)


@pytest.mark.parametrize(
    ("calibrated", "photos", "notes"),
    [(False, [PHOTO, PALE_PHOTO], 1), (False, [SEA_PHOTO] * 2, 0), (True, [PHOTO] * 2, 0)],
    ids=["uncalibrated", "no verdict", "calibrated"],
)
def test_an_overview_marks_verdicts_of_an_uncalibrated_model_once(app, calibrated, photos, notes):
    points = for_all_kinds(OperatingPoint(lesion_threshold=0.5))
    card = Card(name="any", calibrated=calibrated, operating_points=points)
    object.__setattr__(app.extensions["molelens"], "card", card)
    client = app.test_client()
    overview = client.get(upload_all(client, photos).headers["Location"])
    assert text(overview).count("Uncalibrated model.") == notes


def test_an_overview_of_unknown_results_says_that_they_are_gone(client):
    response = client.get("/results/AAAAAAAAAAAAAAAAAAAAAA,<b>,..")
    assert text(response).count("This result is gone") == 3
    assert "<b>" not in response.get_data(as_text=True)


def test_an_overview_reports_a_full_store_beside_the_results_that_were_stored(make_app):
    client = make_app(RESULTS_MAX="1").test_client()
    page = client.get(upload_all(client, [PHOTO, PHOTO]).headers["Location"])
    outcomes = re.findall(r'data-outcome="(\w+)"', page.get_data(as_text=True))
    assert outcomes == ["malignant", "store_unavailable"]


def test_each_photo_of_a_form_counts_towards_the_rate_limit(make_app):
    client = make_app(RATE_LIMIT="3/day").test_client()
    assert upload_all(client, [PHOTO] * 2).status_code == 303
    response = upload_all(client, [PHOTO] * 2)
    assert response.status_code == 429
    assert "Too many requests came in a short time" in text(response)


# The site installed as an app.


def test_the_web_app_manifest_and_its_icons_are_served_and_the_app_starts_at_the_form(client):
    page = client.get("/").get_data(as_text=True)
    address = re.search(r'rel="manifest" href="([^"]+)"', page)[1]
    response = client.get(address)
    assert response.mimetype == "application/manifest+json"
    manifest = json.loads(response.data)
    assert urljoin(address, manifest["start_url"]) == "/"
    for icon in manifest["icons"]:
        served = client.get(urljoin(address, icon["src"]))
        assert served.mimetype == icon["type"]
        if icon["type"] == "image/png":
            width, height = Image.open(io.BytesIO(served.data)).size
            assert icon["sizes"] == f"{width}x{height}"


BY_KIND = {
    "test": {"pooled": {"sensitivity": 0.9}, "clinical": {"sensitivity": [0.8, 0.7, 0.9]}},
    "melanomas": {"pooled": {"found": [0.95, 0.9, 1.0]}, "clinical": {"n": 40, "found": 0.75}},
}


@pytest.mark.parametrize(
    ("kind", "sensitivity", "melanomas"),
    [("clinical", 0.8, 0.75), ("dermoscopic", 0.9, 0.95), (None, 0.9, 0.95)],
)
def test_figures_are_those_of_the_kind_of_photo_if_the_card_has_them_else_of_all(
    kind, sensitivity, melanomas
):
    found = card_display.card_figure(BY_KIND, "sensitivity", kind)
    assert found is not None and found.value == sensitivity
    assert card_display.melanomas_found(BY_KIND, kind) == melanomas


def test_a_card_without_figures_gives_no_share_of_melanomas_found():
    assert card_display.melanomas_found({}, "clinical") is None


def test_a_benign_result_names_the_kind_of_photo_and_the_melanomas_missed_in_that_kind(app):
    service, client = app.extensions["molelens"], app.test_client()
    judged = service.results.get(result_address(client).rsplit("/", 1)[-1])
    benign = dataclasses.replace(judged, verdict="benign", kind="clinical", melanomas_found=0.75)
    key = service.results.put(benign)
    page = " ".join(text(client.get(f"/result/{key}")).split())
    assert "In tests on photos of this kind it missed about 25 of 100 melanomas." in page
    assert "The model recognised this as a close-up taken with a phone or camera." in page
    report = PdfReader(io.BytesIO(client.get(f"/result/{key}/report.pdf").data))
    assert "a close-up taken with a phone or camera" in report.pages[0].extract_text()
