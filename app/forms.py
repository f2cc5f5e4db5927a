"""Parse forms: keep photos in memory, and report forms that cannot be read."""

from collections.abc import Iterator
from io import BufferedReader, BytesIO
from typing import IO, Any, TypeAlias
from urllib.parse import parse_qsl

from gunicorn.http.errors import ParseException
from werkzeug.datastructures import FileStorage, Headers
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.multipart import Data, Event, Field, File, MultipartDecoder, NeedData, State

from app import photo_days
from app.refusals import Refused

BODY_BUFFER_BYTES = 2**18
"""As many as gunicorn reads (app/server/reading.py), because gunicorn copies the rest of its buffer
at every smaller read. With 64 kB a request took 1.2 ms longer. With 1 MB a worker used up to 168 MB
for 32 clients with 12-megapixel photos, instead of 154."""

PHOTO_FIELDS = {"photo", *photo_days.FIELDS}

MAX_PARTS = 1000
MAX_TEXT_BYTES = 100_000
"""Limit for each text field, for the headers of each part, and for a form without files."""

_CHUNK_BYTES = 2**16
"""Size of the chunks that the parser gets."""

Body: TypeAlias = "BufferedReader[Any]"
_TRUNCATED = {
    State.PREAMBLE: "the boundary that its Content-Type names is not in the body",
    State.PART: "the body ends within the headers of a part",
    State.DATA_START: "the body ends within a part",
    State.DATA: "the body ends within a part",
}
_TOO_LONG = f"it has more than {MAX_PARTS} parts, or headers of over {MAX_TEXT_BYTES} bytes"


class FormError(Exception):
    """A form cannot be read; ``str(error)`` says why."""


class PhotoForm(FormDataParser):
    """A form parser that keeps uploads in memory and reports what is wrong with a form.

    Werkzeug's own parser treats an unreadable form as empty, calls a form with too many fields too
    large, and writes uploads over 500 kB to a temporary file.
    """

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> Any:
        """Parse the form.

        Returns:
            The stream, the text fields, the files.

        Raises:
            Refused: the form cannot be read.
            RequestEntityTooLarge: the request is longer than MOLELENS_MAX_UPLOAD.
        """
        body: Body = BufferedReader(stream, BODY_BUFFER_BYTES)
        try:
            if mimetype == "multipart/form-data":
                parts = list(_parts(body, (options or {}).get("boundary", "")))
            elif mimetype == "application/x-www-form-urlencoded":
                parts = _text_fields(body)
            elif body.peek(1):
                raise FormError(f"its Content-Type is {mimetype or 'missing'}")
            else:
                parts = []
        except (FormError, ParseException) as error:
            raise Refused(
                "malformed_form", f"Expected multipart/form-data, but {error}."
            ) from error
        except ClientDisconnected as error:
            raise Refused("malformed_form", "Expected more: the body ended early.") from error
        fields = self.cls([part for part in parts if isinstance(part[1], str)])
        files = self.cls([part for part in parts if not isinstance(part[1], str)])
        return stream, fields, files


def _text_fields(body: Body) -> list[tuple[str, str | FileStorage]]:
    data = body.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise FormError(f"a form without files is longer than {MAX_TEXT_BYTES} bytes")
    return [*parse_qsl(data.decode(errors="replace"), keep_blank_values=True)]


class _Decoder(MultipartDecoder):
    """Reads headers that are not UTF-8 as Latin-1, because older programs send file names in it."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        try:
            data.decode()
        except UnicodeDecodeError:
            data = data.decode("latin-1").encode()
        return super()._parse_headers(data)


def _parts(body: Body, boundary: str) -> Iterator[tuple[str, str | FileStorage]]:
    """The name and content of each part: text, or a file in memory."""
    if not boundary or not boundary.isascii():
        raise FormError("its Content-Type names no boundary")
    for event in _events(body, boundary.encode()):
        if isinstance(event, Field | File):
            if event.name is None:
                raise FormError("a part has no name")
            part, content = event, BytesIO()
        elif isinstance(event, Data):
            content.write(event.data)
            if _is_text(part) and content.tell() > MAX_TEXT_BYTES:
                raise FormError(f"a text field is longer than {MAX_TEXT_BYTES} bytes")
            if not event.more_data:
                yield part.name, _text(content) if _is_text(part) else _file(part, content)


def _is_text(part: Field | File) -> bool:
    # Some programs send a photo without a file name, which looks like a text field.
    return isinstance(part, Field) and part.name not in PHOTO_FIELDS


def _text(content: BytesIO) -> str:
    return content.getvalue().decode(errors="replace")


def _file(part: Field | File, content: BytesIO) -> FileStorage:
    # With neither a name nor content, the input was left empty.
    default_name = "photo" if content.tell() else ""
    content.seek(0)
    name = part.filename if isinstance(part, File) else ""
    return FileStorage(content, name or default_name, part.name, headers=part.headers)


def _events(body: Body, boundary: bytes) -> Iterator[Event]:
    decoder = _Decoder(
        boundary, max_form_memory_size=MAX_TEXT_BYTES + _CHUNK_BYTES, max_parts=MAX_PARTS
    )
    while decoder.state is not State.EPILOGUE:
        data = body.read(_CHUNK_BYTES)
        try:
            decoder.receive_data(data or None)
            while not isinstance(event := decoder.next_event(), NeedData):
                yield event
        except (RequestEntityTooLarge, ValueError) as error:
            if decoder.state is State.PREAMBLE or decoder.complete:
                raise FormError(_TRUNCATED[decoder.state]) from error
            too_long = isinstance(error, RequestEntityTooLarge)
            raise FormError(_TOO_LONG if too_long else f"a part is broken: {error}") from error
    while body.read(_CHUNK_BYTES):  # The form has ended; what follows is ignored.
        pass
