"""Forms of old and unusual clients are parsed if possible, otherwise refused with a reason."""

import painter
import pytest
from visitor import token

PHOTO = painter.encoded(painter.lesion())
API = "/api/v1/predictions"
BOUNDARY = b"----edge42"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY.decode()}"
PHOTO_DISPOSITION = b'form-data; name="photo"; filename="a.jpg"'


def part(
    content: bytes, disposition: bytes = PHOTO_DISPOSITION, line_end: bytes = b"\r\n"
) -> bytes:
    head = b"Content-Disposition: " + disposition + line_end + b"Content-Type: image/jpeg"
    return b"--" + BOUNDARY + line_end + head + line_end * 2 + content + line_end


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def post(client, body: bytes, content_type: str | None = CONTENT_TYPE):
    return client.post(API, data=body, content_type=content_type)


def disposition(name: bytes) -> bytes:
    return b'form-data; name="photo"; filename=' + name


VALID = {
    "a name in UTF-8": form(part(PHOTO, disposition('"Müttermal.jpg"'.encode()))),
    "a name in Latin-1": form(part(PHOTO, disposition('"Müttermal.jpg"'.encode("latin-1")))),
    "a name in Shift JIS": form(part(PHOTO, disposition('"写真.jpg"'.encode("shift-jis")))),
    "an encoded name": form(part(PHOTO, b"form-data; name=photo; filename*=UTF-8''M%C3%BC.jpg")),
    "a wrongly encoded name": form(part(PHOTO, b"form-data; name=photo; filename*=x'%FF")),
    "a Windows path": form(part(PHOTO, disposition(rb'"C:\Fotos\a.jpg"'))),
    "quotes in the name": form(part(PHOTO, disposition(rb'"a \"b\" c.jpg"'))),
    "an empty name": form(part(PHOTO, disposition(b'""'))),
    "no name": form(part(PHOTO, b'form-data; name="photo"')),
    "no name, over 500 kB": form(part(PHOTO + bytes(600_000), b'form-data; name="photo"')),
    "no quotes": form(part(PHOTO, b"form-data; name=photo; filename=a.jpg")),
    "another field beside it": form(part(b"x", b'form-data; name="note"'), part(PHOTO)),
    "an empty second photo": form(part(PHOTO), part(b"", disposition(b'""'))),
    "a preamble and an epilogue": b"preamble\r\n" + form(part(PHOTO)) + b"epilogue" * 100_000,
    "line ends without CR": form(part(PHOTO, line_end=b"\n")),
    "no line end at the end": form(part(PHOTO)).rstrip(),
}


@pytest.mark.parametrize("body", VALID.values(), ids=VALID)
def test_unusual_but_valid_forms_are_parsed(client, body):
    assert post(client, body).get_json()["status"] == "ok"


@pytest.mark.parametrize(
    "content_type",
    [
        f'multipart/form-data; boundary="{BOUNDARY.decode()}"',
        CONTENT_TYPE.replace("form-d", "Form-D"),
    ],
)
def test_the_content_type_may_have_a_quoted_boundary_or_capitals(client, content_type):
    assert post(client, form(part(PHOTO)), content_type).get_json()["status"] == "ok"


WHOLE = form(part(PHOTO))
MALFORMED = {
    "another boundary": (WHOLE, CONTENT_TYPE + "x", "boundary"),
    "another boundary, over 500 kB": (form(part(bytes(600_000))), CONTENT_TYPE + "x", "boundary"),
    "no boundary": (WHOLE, "multipart/form-data", "names no boundary"),
    "a boundary that is not ASCII": (WHOLE, "multipart/form-data; boundary=ä", "boundary"),
    "the end is missing": (WHOLE[:-30], CONTENT_TYPE, "ends within a part"),
    "only half of the headers": (part(b"")[:30], CONTENT_TYPE, "ends within the headers"),
    "a part without a name": (form(part(PHOTO, b"form-data")), CONTENT_TYPE, "no name"),
    "a part without a disposition": (
        WHOLE.replace(b"Content-Disposition", b"X"),
        CONTENT_TYPE,
        "broken",
    ),
    "headers of 300 kB": (form(part(PHOTO, b"x" * 300_000)), CONTENT_TYPE, "headers of over"),
    "a text of 600 kB": (
        form(part(bytes(600_000), b"form-data; name=x")),
        CONTENT_TYPE,
        "text field",
    ),
    "1001 parts": (form(*[part(b"x", b"form-data; name=x")] * 1001), CONTENT_TYPE, "1000 parts"),
    "the photo alone": (PHOTO, "image/jpeg", "Content-Type is image/jpeg"),
    "the photo alone, without a type": (PHOTO, None, "Content-Type is missing"),
    "the photo in JSON": (b'{"photo": "..."}', "application/json", "application/json"),
    "another multipart": (WHOLE, CONTENT_TYPE.replace("form-data", "mixed"), "multipart/mixed"),
    "a long form without files": (b"a&" * 300_000, "application/x-www-form-urlencoded", "longer"),
}


@pytest.mark.parametrize(("body", "content_type", "detail"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_form_is_refused_with_the_reason(client, body, content_type, detail):
    answer = post(client, body, content_type)
    problem = answer.get_json(force=True)
    assert (answer.status_code, problem["code"]) == (400, "malformed_form")
    assert detail in problem["detail"]


@pytest.mark.parametrize(
    ("body", "content_type"), [row[:2] for row in MALFORMED.values()], ids=MALFORMED
)
def test_the_page_says_that_a_malformed_form_could_not_be_read(client, body, content_type):
    answer = client.post("/upload", data=body, content_type=content_type)
    assert answer.status_code == 400
    assert "could not be read" in answer.get_data(as_text=True)


NO_FILE = {
    "no body": (b"", None),
    "an empty form": (form(), CONTENT_TYPE),
    "an input left empty": (form(part(b"", disposition(b'""'))), CONTENT_TYPE),
    "another field": (form(part(b"x", b"form-data; name=note")), CONTENT_TYPE),
    "a form without files": (b"photo=a.jpg", "application/x-www-form-urlencoded"),
}


@pytest.mark.parametrize(("body", "content_type"), NO_FILE.values(), ids=NO_FILE)
def test_a_form_without_a_photo_is_refused_as_no_file(client, body, content_type):
    assert post(client, body, content_type).get_json(force=True)["code"] == "no_file"


def test_the_refusal_names_the_field_in_which_a_photo_was_sent(client):
    answer = post(client, form(part(PHOTO, b'form-data; name="image"; filename="a.jpg"')))
    assert "got files in 'image'" in answer.get_json(force=True)["detail"]


@pytest.mark.parametrize("count", [2, 25, 40, 900])
def test_the_api_says_that_it_got_several_photos(make_app, count):
    client = make_app(RATE_LIMIT="30/day").test_client()
    answer = post(client, form(*[part(PHOTO[:1000])] * count))
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (400, "several_files")


@pytest.mark.parametrize("count", [11, 25, 40, 900])
def test_the_page_says_that_it_got_too_many_photos(make_app, count):
    client = make_app(RATE_LIMIT="30/day").test_client()
    csrf_token = token(client.get("/").get_data(as_text=True)).encode()
    parts = [part(csrf_token, b'form-data; name="csrf_token"'), *[part(PHOTO[:1000])] * count]
    answer = client.post("/upload", data=form(*parts), content_type=CONTENT_TYPE)
    assert answer.status_code == 400
    assert "Send at most 10" in answer.get_data(as_text=True)


def test_a_form_over_the_size_limit_is_refused_as_too_large(make_app):
    client = make_app(MAX_UPLOAD="1").test_client()
    answer = post(client, form(part(bytes(1_100_000))))
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (413, "too_large")
