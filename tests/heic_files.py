"""HEIC files that no camera writes."""

import io
import struct

import pillow_heif
from PIL import Image


def grid(tiles: int, tile_side: int, side: int = 96) -> bytes:
    """A HEIC of ``side`` pixels whose grid has ``tiles`` x ``tiles`` tiles of any size.

    All tiles are one black picture, so the file stays small.
    """
    codec, picture = _black(tile_side)
    head = _box(b"ftyp", b"heic\0\0\0\0mif1heic")
    layout = bytes([0, 0, tiles - 1, tiles - 1]) + struct.pack(">HH", side, side)

    def meta(start: int) -> bytes:
        """The metadata of item 1, the grid, and of item 2, the tile, which begins at ``start``."""
        locations = b"\x44\0" + struct.pack(">H", 2)
        locations += struct.pack(">HHHHII", 1, 1, 0, 1, 0, len(layout))
        locations += struct.pack(">HHHHII", 2, 0, 0, 1, start, len(picture))
        references = struct.pack(">HH", 1, tiles**2) + struct.pack(">H", 2) * tiles**2
        sizes = [_full(b"ispe", struct.pack(">II", width, width)) for width in (tile_side, side)]
        properties = _full(b"ipma", struct.pack(">IHBBHBBB", 2, 1, 1, 3, 2, 2, 0x81, 2))
        boxes = [
            _full(b"hdlr", b"\0\0\0\0pict" + bytes(13)),
            _full(b"pitm", b"\0\1"),
            _full(b"iinf", b"\0\2" + _item(1, b"grid") + _item(2, b"hvc1")),
            _full(b"iref", _box(b"dimg", references)),
            _box(b"iprp", _box(b"ipco", codec + b"".join(sizes)) + properties),
            _full(b"iloc", locations, version=1),
            _box(b"idat", layout),
        ]
        return _full(b"meta", b"".join(boxes))

    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + _box(b"mdat", picture)


def _black(side: int) -> tuple[bytes, bytes]:
    """The codec's configuration and the data of a black picture."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (side, side))).save(buffer, quality=10)
    whole = buffer.getvalue()
    found = []
    for kind in (b"hvcC", b"mdat"):
        at = whole.index(kind) - 4
        found.append(whole[at : at + int.from_bytes(whole[at : at + 4], "big")])
    return found[0], found[1][8:]


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, body: bytes, version: int = 0) -> bytes:
    return _box(kind, bytes([version, 0, 0, 0]) + body)


def _item(number: int, kind: bytes) -> bytes:
    return _full(b"infe", struct.pack(">HH4sx", number, 0, kind), version=2)
