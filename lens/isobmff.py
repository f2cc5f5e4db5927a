"""Read the colours that an AVIF or a HEIF names by numbers."""

import re
from collections.abc import Iterator

_NCLX = re.compile(rb"colrnclx....", re.DOTALL)

_MOST_BOXES = 1000
"""Most boxes or items looked at on one level; a photo of many tiles has some hundred."""


def nclx(data: bytes) -> tuple[int, int] | None:
    """Colour primaries and transfer characteristics (ITU-T H.273) of a file's main picture.

    Args:
        data: the whole file, in the ISO base media format.

    Returns:
        None where the file names none, or is damaged.
    """
    try:
        meta = _only(_boxes(memoryview(data)), b"meta")[4:]
        item = _primary(_only(_boxes(meta), b"pitm"))
        properties = _only(_boxes(meta), b"iprp")
        every = [(kind, bytes(body)) for kind, body in _boxes(_only(_boxes(properties), b"ipco"))]
        for index in _associated(_only(_boxes(properties), b"ipma"), item):
            kind, body = every[index - 1]
            if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 8:
                return int.from_bytes(body[4:6], "big"), int.from_bytes(body[6:8], "big")
    except (IndexError, StopIteration):
        pass
    return None


def without_numbers(data: bytes) -> bytes:
    """The file, its colours' primaries and transfer replaced by 2, which stands for unspecified."""
    return _NCLX.sub(b"colrnclx\0\2\0\2", data)


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of each box."""
    at = 0
    for _ in range(_MOST_BOXES):
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


def _associated(ipma: memoryview, item: int) -> list[int]:
    """Numbers, from 1, of an item's properties."""
    id_bytes = 2 if ipma[0] == 0 else 4
    wide = 2 if ipma[3] & 1 else 1
    at = 8
    for _ in range(min(int.from_bytes(ipma[4:8], "big"), _MOST_BOXES)):
        found, count = int.from_bytes(ipma[at : at + id_bytes], "big"), ipma[at + id_bytes]
        at += id_bytes + 1
        numbers = [ipma[at + wide * n : at + wide * (n + 1)] for n in range(count)]
        if found == item:
            essential = 1 << (8 * wide - 1)
            every = [int.from_bytes(number, "big") & (essential - 1) for number in numbers]
            return [number for number in every if number]
        at += wide * count
    return []
