"""Read the colour space that an AVIF or HEIF declares by code points (nclx)."""

import re
from collections.abc import Iterator

_NCLX = re.compile(rb"colrnclx....", re.DOTALL)

_MAX_BOXES = 1000
"""Boxes or items read at one level; a photo with many tiles has a few hundred."""


def nclx(data: bytes) -> tuple[int, int] | None:
    """Colour primaries and transfer characteristics (ITU-T H.273) of a file's main picture.

    Args:
        data: the whole file, in the ISO base media format.

    Returns:
        None if the file declares none, or is damaged.
    """
    try:
        meta = _only(_boxes(memoryview(data)), b"meta")[4:]
        item = _primary(_only(_boxes(meta), b"pitm"))
        iprp = _only(_boxes(meta), b"iprp")
        properties = [(kind, bytes(body)) for kind, body in _boxes(_only(_boxes(iprp), b"ipco"))]
        for number in _property_numbers(_only(_boxes(iprp), b"ipma"), item):
            kind, body = properties[number - 1]
            if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 8:
                return int.from_bytes(body[4:6], "big"), int.from_bytes(body[6:8], "big")
    except (IndexError, StopIteration):
        pass
    return None


def without_colour_space(data: bytes) -> bytes:
    """Replace the primaries and the transfer characteristics by 2, which means unspecified."""
    return _NCLX.sub(b"colrnclx\0\2\0\2", data)


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """The type and content of each box."""
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > len(data):
            return
        size, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = at + size if size else len(data)
        if end < start:
            return
        yield bytes(data[at + 4 : at + 8]), data[start:end]
        at = end


def _only(boxes: Iterator[tuple[bytes, memoryview]], wanted: bytes) -> memoryview:
    return next(body for kind, body in boxes if kind == wanted)


def _primary(pitm: memoryview) -> int:
    return int.from_bytes(pitm[4 : 6 if pitm[0] == 0 else 8], "big")


def _property_numbers(ipma: memoryview, item: int) -> list[int]:
    """The numbers of an item's properties, counted from 1."""
    id_bytes = 2 if ipma[0] == 0 else 4
    number_bytes = 2 if ipma[3] & 1 else 1
    at = 8
    for _ in range(min(int.from_bytes(ipma[4:8], "big"), _MAX_BOXES)):
        item_id, count = int.from_bytes(ipma[at : at + id_bytes], "big"), ipma[at + id_bytes]
        at += id_bytes + 1
        end = at + number_bytes * count
        if item_id == item:
            without_flag = (1 << (8 * number_bytes - 1)) - 1  # The top bit means "essential".
            entries = [ipma[n : n + number_bytes] for n in range(at, end, number_bytes)]
            numbers = [int.from_bytes(entry, "big") & without_flag for entry in entries]
            return [number for number in numbers if number]
        at = end
    return []
