"""Send photos through Flask's test client, by the form or the API, and read the answers."""

import html
import io
import re

import painter

PHOTO = painter.encoded(painter.lesion())
PALE_PHOTO = painter.encoded(painter.lesion(0, painter.PALE))
SEA_PHOTO = painter.encoded(painter.sea())
PREDICTIONS = "/api/v1/predictions"


def token(page: str) -> str:
    """The CSRF token of a page's form."""
    return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]


def upload(client, data: bytes | None, **options):
    form = {"csrf_token": token(client.get("/").get_data(as_text=True))}
    if data is not None:
        form["photo"] = (io.BytesIO(data), "name.jpg")
    return client.post("/upload", data=form, **options)


def upload_all(client, photos: list[bytes]):
    form = {"csrf_token": token(client.get("/").get_data(as_text=True))}
    form["photo"] = [(io.BytesIO(data), "name.jpg") for data in photos]
    return client.post("/upload", data=form)


def result_address(client, data: bytes = PHOTO) -> str:
    """Upload a photo; return the address of its result."""
    response = upload(client, data)
    assert response.status_code == 303
    return response.headers["Location"]


def text(response) -> str:
    """The text of a page without markup."""
    words = re.sub(r"<(svg|head).*?</\1>|<[^>]+>", " ", response.get_data(as_text=True), flags=re.S)
    return re.sub(r"\s+", " ", html.unescape(words))


def predict(client, data: bytes, name: str = "any.bin", **options):
    """Send a photo to the API."""
    return client.post(PREDICTIONS, data={"photo": (io.BytesIO(data), name)}, **options)
