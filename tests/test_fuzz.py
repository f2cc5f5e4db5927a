"""Files of the corpus, damaged at random; ``make fuzz`` searches for longer."""

import pytest
from flask.testing import FlaskClient
from fuzz import FINDS, body, seeds, with_correct_checksums
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lens.images import SIZE, InvalidImage, decode

SEEDS = list(seeds())
FORMS = [b"", body(SEEDS[0], token=True), *(path.read_bytes() for path in FINDS.glob("form-*"))]

# The same files in each run: CI must not fail at random.
reproducible = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file with some bytes changed, and a piece removed, duplicated or moved."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    where = st.integers(0, len(data) - 1)
    for at in draw(st.lists(where, max_size=12)):
        data[at] = draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF)) | st.integers(0, 255))
    start, end, to = draw(where), draw(where), draw(where)
    piece = bytes(data[min(start, end) : max(start, end)])
    if draw(st.booleans()):
        del data[min(start, end) : max(start, end)]
    if draw(st.booleans()):
        data[to:to] = piece
    is_png = data.startswith(b"\x89PNG\r\n\x1a\n") and draw(st.booleans())
    return with_correct_checksums(bytes(data)) if is_png else bytes(data)


@settings(reproducible, max_examples=400)
@given(data=damaged())
def test_a_damaged_file_is_decoded_or_refused_with_a_message(data: bytes) -> None:
    try:
        assert decode(data).shape == (SIZE, SIZE, 3)
    except InvalidImage as refused:
        assert str(refused).endswith(".")


@settings(reproducible, max_examples=100)
@given(photo=damaged(), tail=st.binary(max_size=60), cut=st.floats(0, 2))
def test_a_damaged_form_never_causes_a_server_error(
    client: FlaskClient, photo: bytes, tail: bytes, cut: float
) -> None:
    whole = body(photo, token=False)
    sent = whole[: int(len(whole) * cut)] + tail
    assert status(client, "/api/v1/predictions", sent) < 500


@pytest.mark.parametrize("sent", FORMS, ids=range(len(FORMS)))
def test_a_form_that_the_fuzzer_found_never_causes_a_server_error(
    client: FlaskClient, sent: bytes
) -> None:
    where = "/upload" if b"csrf_token" in sent else "/api/v1/predictions"
    assert status(client, where, sent) < 500


def status(client: FlaskClient, path: str, sent: bytes) -> int:
    kind = "multipart/form-data; boundary=edge"
    return client.post(path, data=sent, content_type=kind).status_code
