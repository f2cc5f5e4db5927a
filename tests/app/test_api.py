"""The JSON API: its answers, its refusals, and its OpenAPI document."""

import io
import json
import re

import corpus
import painter
import pytest
from corpus import File
from visitor import PREDICTIONS, predict

from app.refusals import REFUSALS


def problem(response) -> dict:
    """The problem+json of a response, with all the fields that the OpenAPI document requires."""
    assert response.content_type == "application/problem+json"
    body = json.loads(response.data)
    assert body["status"] == response.status_code
    assert body["title"]
    assert body["detail"]
    assert body["type"]
    assert body["request_id"]
    return body


@pytest.mark.parametrize(
    ("photo", "verdict"),
    [(painter.lesion(), "malignant"), (painter.lesion(colour=painter.PALE), "benign")],
    ids=["dark", "pale"],
)
def test_a_prediction_has_exactly_the_documented_keys(client, photo, verdict):
    response = predict(client, painter.encoded(photo))
    body = response.get_json()
    assert response.status_code == 200
    assert list(body) == [
        "verdict",
        "status",
        "reasons",
        "probability",
        "threshold",
        "kind",
        "model",
    ]
    assert (body["verdict"], body["status"], body["reasons"]) == (verdict, "ok", [])
    assert (body["probability"] >= body["threshold"]) == (verdict == "malignant")
    assert list(body["model"]) == ["name", "sha256", "calibrated"]
    assert re.fullmatch("[0-9a-f]{64}", body["model"]["sha256"])


@pytest.mark.parametrize(
    ("photo", "reason"), [(painter.sea(), "not_a_lesion"), (painter.night(), "too_dark")]
)
def test_a_photo_that_cannot_be_judged_gets_reasons_but_no_verdict(client, photo, reason):
    response = predict(client, painter.encoded(photo))
    body = response.get_json()
    assert response.status_code == 200
    assert (body["status"], body["verdict"], body["probability"]) == ("cannot_judge", None, None)
    assert body["reasons"] == [reason]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_formats_are_recognised_by_content_not_by_name(client, kind):
    assert predict(client, painter.encoded(painter.lesion(), kind)).status_code == 200


@pytest.mark.parametrize("file", corpus.FILES, ids=lambda file: file.name)
def test_each_file_of_the_corpus_gets_its_expected_answer(client, file: File):
    response = predict(client, file.data, file.sent_as)
    if file.code or response.status_code != 200:
        assert problem(response)["code"]
    if file.status:
        assert response.status_code == file.status
        assert (response.get_json().get("code") or "") == file.code
    assert response.status_code < 500


@pytest.mark.parametrize(
    "body",
    [None, {}, {"photo": "text"}, {"picture": (io.BytesIO(b"x"), "x.jpg")}],
    ids=["no body", "an empty form", "a text field", "another field"],
)
def test_a_request_without_a_photo_is_a_400(client, body):
    response = client.post(PREDICTIONS, data=body)
    assert response.status_code == 400
    assert problem(response)["code"] == "no_file"


def test_two_photos_are_a_400_and_none_is_judged(client):
    photo = painter.encoded(painter.lesion())
    response = client.post(
        PREDICTIONS, data={"photo": [(io.BytesIO(photo), "a"), (io.BytesIO(photo), "b")]}
    )
    assert response.status_code == 400
    assert problem(response)["code"] == "several_files"


def test_a_request_over_the_size_limit_is_a_413(make_app):
    response = predict(make_app(MAX_UPLOAD="1").test_client(), bytes(1_100_000))
    assert response.status_code == 413
    assert problem(response)["code"] == "too_large"


def test_over_the_rate_limit_the_answer_says_when_to_retry(make_app):
    client = make_app(RATE_LIMIT="2/hour").test_client()
    photo = painter.encoded(painter.lesion())
    assert [predict(client, photo).status_code for _ in range(3)] == [200, 200, 429]
    response = predict(client, photo)
    assert problem(response)["code"] == "rate_limit"
    assert 1 <= int(response.headers["Retry-After"]) <= 3600


def test_each_client_has_its_own_rate_limit(make_app):
    client = make_app(RATE_LIMIT="1/day").test_client()
    photo = painter.encoded(painter.lesion())
    for address in ("192.0.2.1", "192.0.2.2"):
        environ = {"REMOTE_ADDR": address}
        assert predict(client, photo, environ_base=environ).status_code == 200
        assert predict(client, photo, environ_base=environ).status_code == 429


def test_form_and_api_share_one_rate_limit(make_app):
    client = make_app(RATE_LIMIT="1/day").test_client()
    assert predict(client, painter.encoded(painter.lesion())).status_code == 200
    page = client.get("/").get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
    photo = (io.BytesIO(painter.encoded(painter.lesion())), "x")
    response = client.post("/upload", data={"csrf_token": token, "photo": photo})
    assert response.status_code == 429
    assert "short time" in response.get_data(as_text=True)


def test_when_all_places_are_taken_the_answer_is_immediately_503(make_app):
    app = make_app(AT_ONCE="1", WAITING="0")
    admission = app.extensions["molelens"].admission
    response = admission.run(lambda: predict(app.test_client(), painter.encoded(painter.lesion())))
    assert response.status_code == 503
    assert problem(response)["code"] == "busy"
    assert int(response.headers["Retry-After"]) > 0
    assert predict(app.test_client(), painter.encoded(painter.lesion())).status_code == 200


def test_unknown_paths_and_methods_get_problem_json(client):
    assert problem(client.get("/api/nothing"))["status"] == 404
    wrong = client.get(PREDICTIONS)
    assert problem(wrong)["status"] == 405
    assert "POST" in wrong.headers["Allow"]


def test_an_internal_error_is_a_500_problem_without_a_verdict(app, monkeypatch):
    def fail(*_):
        raise RuntimeError("an error")

    monkeypatch.setattr("app.uploads.judge", fail)
    response = predict(app.test_client(), painter.encoded(painter.lesion()))
    assert response.status_code == 500
    assert "verdict" not in problem(response)


def test_the_api_needs_and_sets_no_cookie(client):
    response = predict(client, painter.encoded(painter.lesion()))
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers


# Comparisons of two photos.

COMPARISONS = "/api/v1/comparisons"
DARK, LIGHT = painter.encoded(painter.lesion()), painter.encoded(painter.lesion(0, painter.PALE))


def compare(client, earlier: bytes | None, later: bytes | None, **days: str):
    files = {"earlier": earlier, "later": later}
    form = {name: (io.BytesIO(data), "x") for name, data in files.items() if data is not None}
    return client.post(COMPARISONS, data={**form, **days})


def test_a_comparison_has_the_documented_keys_and_a_prediction_for_each_photo(client):
    body = compare(client, LIGHT, DARK, earlier_taken="2026-01-12").get_json()
    assert list(body) == ["earlier", "later", "notice"]
    assert [body[name]["taken"] for name in ("earlier", "later")] == ["2026-01-12", None]
    assert body["earlier"]["prediction"] == predict(client, LIGHT).get_json()
    assert body["later"]["prediction"] == predict(client, DARK).get_json()
    assert body["notice"].startswith("Any visible change is a reason to see a doctor")


def test_the_photos_of_a_comparison_are_ordered_by_their_days(client):
    days = {"earlier_taken": "2026-04-15", "later_taken": "2026-01-12"}
    body = compare(client, DARK, LIGHT, **days).get_json()
    assert body["earlier"]["taken"] == "2026-01-12"
    assert body["earlier"]["prediction"]["verdict"] == "benign"


@pytest.mark.parametrize(
    ("earlier", "later", "days", "status", "code", "field"),
    [
        (None, DARK, {}, 400, "no_file", "'earlier'"),
        (DARK, None, {}, 400, "no_file", "'later'"),
        (DARK, DARK, {"later_taken": "May"}, 400, "bad_date", "'later_taken'"),
        (DARK, b"text", {}, 415, "unsupported_format", "later: "),
        (b"", DARK, {}, 422, "empty", "earlier: "),
    ],
)
def test_a_problem_with_one_of_two_photos_names_its_field(
    client, earlier, later, days, status, code, field
):
    response = compare(client, earlier, later, **days)
    assert response.status_code == status
    assert problem(response)["code"] == code
    assert field in problem(response)["detail"]


def test_a_comparison_counts_as_two_photos_towards_the_rate_limit(make_app):
    client = make_app(RATE_LIMIT="3/day").test_client()
    assert compare(client, DARK, LIGHT).status_code == 200
    assert problem(compare(client, DARK, LIGHT))["code"] == "rate_limit"


def test_a_rate_limit_of_one_photo_still_allows_a_comparison(make_app):
    client = make_app(RATE_LIMIT="1/day").test_client()
    assert compare(client, DARK, LIGHT).status_code == 200
    assert problem(compare(client, DARK, LIGHT))["code"] == "rate_limit"


# The OpenAPI document.


@pytest.fixture
def openapi(client) -> dict:
    return client.get("/api/openapi.json").get_json()


def test_the_openapi_document_lists_exactly_the_routes_for_programs(app, openapi):
    documented = {
        (path, method.upper()) for path, item in openapi["paths"].items() for method in item
    }
    served = {
        (str(rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint.startswith(("api.", "ops.")) and rule.endpoint != "api.docs"
    }
    assert documented == served


@pytest.mark.parametrize("path", [PREDICTIONS, COMPARISONS])
def test_the_openapi_document_lists_the_status_of_every_refusal(openapi, path):
    answers = openapi["paths"][path]["post"]["responses"]
    statuses = {str(kind.status) for code, kind in REFUSALS.items() if code != "form_expired"}
    assert set(answers) == statuses | {"200"}


def test_a_prediction_matches_the_documented_schema(client, openapi):
    schema = openapi["components"]["schemas"]["Prediction"]
    body = predict(client, painter.encoded(painter.lesion())).get_json()
    assert list(body) == list(schema["properties"]) == schema["required"]
    assert body["verdict"] in schema["properties"]["verdict"]["enum"]
    assert list(body["model"]) == schema["properties"]["model"]["required"]


@pytest.mark.parametrize(
    ("path", "schema"), [(PREDICTIONS, "Prediction"), (COMPARISONS, "Comparison")]
)
def test_the_documented_examples_match_their_schemas(openapi, path, schema):
    answer = openapi["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]
    assert answer["schema"]["$ref"].endswith(schema)
    assert list(answer["example"]) == openapi["components"]["schemas"][schema]["required"]


def test_the_docs_page_shows_every_path_and_code(client, openapi):
    page = client.get("/api/docs").get_data(as_text=True)
    assert all(path in page for path in openapi["paths"])
    assert all(f'id="{code}"' in page for code in REFUSALS)
    assert "curl -F photo=@" in page
    assert "import requests" in page


def test_the_type_of_a_problem_links_to_its_entry_in_the_docs(client):
    kind = problem(predict(client, b"text"))["type"]
    path, anchor = kind.split("#")
    assert f'id="{anchor}"' in client.get(path).get_data(as_text=True)
