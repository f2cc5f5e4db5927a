"""Forms as old programs and hand-made clients send them: read where they can be, else told so."""

import painter
import pytest
from visitor import token

PHOTO = painter.encoded(painter.lesion())
API = "/api/v1/predictions"
EDGE = b"----edge42"
KIND = f"multipart/form-data; boundary={EDGE.decode()}"
NAMED = b'form-data; name="photo"; filename="a.jpg"'


def part(content: bytes, disposition: bytes = NAMED, line_end: bytes = b"\r\n") -> bytes:
    head = b"Content-Disposition: " + disposition + line_end + b"Content-Type: image/jpeg"
    return b"--" + EDGE + line_end + head + line_end * 2 + content + line_end


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + EDGE + b"--\r\n"


def ask(client, body: bytes, kind: str | None = KIND):
    return client.post(API, data=body, content_type=kind)


def disposition(name: bytes) -> bytes:
    return b'form-data; name="photo"; filename=' + name


READ = {
    "a name in UTF-8": form(part(PHOTO, disposition('"Müttermal.jpg"'.encode()))),
    "a name in Latin-1": form(part(PHOTO, disposition('"Müttermal.jpg"'.encode("latin-1")))),
    "a name in Shift JIS": form(part(PHOTO, disposition('"写真.jpg"'.encode("shift-jis")))),
    "an encoded name": form(part(PHOTO, b"form-data; name=photo; filename*=UTF-8''M%C3%BC.jpg")),
    "a name that is encoded wrongly": form(part(PHOTO, b"form-data; name=photo; filename*=x'%FF")),
    "a path of Windows": form(part(PHOTO, disposition(rb'"C:\Fotos\a.jpg"'))),
    "quotes in the name": form(part(PHOTO, disposition(rb'"a \"b\" c.jpg"'))),
    "an empty name": form(part(PHOTO, disposition(b'""'))),
    "no name": form(part(PHOTO, b'form-data; name="photo"')),
    "no name, over 500 kB": form(part(PHOTO + bytes(600_000), b'form-data; name="photo"')),
    "no quotes": form(part(PHOTO, b"form-data; name=photo; filename=a.jpg")),
    "a field beside it": form(part(b"x", b'form-data; name="note"'), part(PHOTO)),
    "an empty second photo": form(part(PHOTO), part(b"", disposition(b'""'))),
    "text before and after it": b"preamble\r\n" + form(part(PHOTO)) + b"epilogue" * 100_000,
    "ends of lines without CR": form(part(PHOTO, line_end=b"\n")),
    "no end of line at the end": form(part(PHOTO)).rstrip(),
}


@pytest.mark.parametrize("body", READ.values(), ids=READ)
def test_a_form_that_can_be_read_is_judged(client, body):
    assert ask(client, body).get_json()["status"] == "ok"


@pytest.mark.parametrize(
    "kind", [f'multipart/form-data; boundary="{EDGE.decode()}"', KIND.replace("form-d", "Form-D")]
)
def test_the_content_type_may_be_quoted_or_in_capitals(client, kind):
    assert ask(client, form(part(PHOTO)), kind).get_json()["status"] == "ok"


WHOLE = form(part(PHOTO))
MALFORMED = {
    "another boundary": (WHOLE, KIND + "x", "boundary"),
    "another boundary, over 500 kB": (form(part(bytes(600_000))), KIND + "x", "boundary"),
    "no boundary": (WHOLE, "multipart/form-data", "names no boundary"),
    "a boundary that is not ASCII": (WHOLE, "multipart/form-data; boundary=ä", "boundary"),
    "the end is missing": (WHOLE[:-30], KIND, "ends within a part"),
    "only a head": (part(b"")[:30], KIND, "ends within the headers"),
    "a part without a name": (form(part(PHOTO, b"form-data")), KIND, "no name"),
    "a part without a disposition": (WHOLE.replace(b"Content-Disposition", b"X"), KIND, "broken"),
    "headers of 300 kB": (form(part(PHOTO, b"x" * 300_000)), KIND, "headers of over"),
    "a text of 600 kB": (form(part(bytes(600_000), b"form-data; name=x")), KIND, "text field"),
    "1001 parts": (form(*[part(b"x", b"form-data; name=x")] * 1001), KIND, "1000 parts"),
    "the photo alone": (PHOTO, "image/jpeg", "Content-Type is image/jpeg"),
    "the photo alone, of no type": (PHOTO, None, "Content-Type is missing"),
    "the photo in JSON": (b'{"photo": "..."}', "application/json", "application/json"),
    "another multipart": (WHOLE, KIND.replace("form-data", "mixed"), "multipart/mixed"),
    "a long form without files": (b"a&" * 300_000, "application/x-www-form-urlencoded", "longer"),
}


@pytest.mark.parametrize(("body", "kind", "detail"), MALFORMED.values(), ids=MALFORMED)
def test_a_form_that_cannot_be_read_is_told_so_and_why(client, body, kind, detail):
    answer = ask(client, body, kind)
    problem = answer.get_json(force=True)
    assert (answer.status_code, problem["code"]) == (400, "malformed_form")
    assert detail in problem["detail"]


@pytest.mark.parametrize(("body", "kind"), [row[:2] for row in MALFORMED.values()], ids=MALFORMED)
def test_the_page_says_it_in_words(client, body, kind):
    answer = client.post("/upload", data=body, content_type=kind)
    assert answer.status_code == 400
    assert "could not be read" in answer.get_data(as_text=True)


NO_FILE = {
    "nothing": (b"", None),
    "an empty form": (form(), KIND),
    "an input left empty": (form(part(b"", disposition(b'""'))), KIND),
    "another field": (form(part(b"x", b"form-data; name=note")), KIND),
    "a form without files": (b"photo=a.jpg", "application/x-www-form-urlencoded"),
}


@pytest.mark.parametrize(("body", "kind"), NO_FILE.values(), ids=NO_FILE)
def test_a_form_without_a_photo_is_no_file(client, body, kind):
    assert ask(client, body, kind).get_json(force=True)["code"] == "no_file"


def test_a_photo_in_another_field_is_named(client):
    answer = ask(client, form(part(PHOTO, b'form-data; name="image"; filename="a.jpg"')))
    assert "got files in 'image'" in answer.get_json(force=True)["detail"]


@pytest.mark.parametrize("count", [2, 25, 40, 900])
def test_several_photos_are_told_as_such_by_the_api(make_app, count):
    client = make_app(RATE_LIMIT="30/day").test_client()
    answer = ask(client, form(*[part(PHOTO[:1000])] * count))
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (400, "several_files")


@pytest.mark.parametrize("count", [11, 25, 40, 900])
def test_too_many_photos_are_told_as_such_by_the_page(make_app, count):
    client = make_app(RATE_LIMIT="30/day").test_client()
    key = token(client.get("/").get_data(as_text=True)).encode()
    parts = [part(key, b'form-data; name="csrf_token"'), *[part(PHOTO[:1000])] * count]
    answer = client.post("/upload", data=form(*parts), content_type=KIND)
    assert answer.status_code == 400
    assert "Send at most 10" in answer.get_data(as_text=True)


def test_a_request_over_the_limit_is_still_too_large(make_app):
    client = make_app(MAX_UPLOAD="1").test_client()
    answer = ask(client, form(part(bytes(1_100_000))))
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (413, "too_large")
