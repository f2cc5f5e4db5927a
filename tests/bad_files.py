"""Simple files that are not usable photos, and their results: (name, bytes, status, code).

``corpus.py`` has many more, including usable ones.
"""

import struct
import zlib

import painter


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk with a correct checksum."""
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG of any layout; each row starts with its filter byte, and ``extra`` are more chunks."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + header + extra + pixels + chunk(b"IEND", b"")


def bomb() -> bytes:
    """A PNG of 12,000 x 10,000 grey pixels, 120 megapixels, in about 14 kB (1 bit per pixel)."""
    width, height = 12_000, 10_000
    return png(width, height, 1, 0, bytes(1 + width // 8) * height)


def truncated() -> bytes:
    whole = painter.encoded(painter.lesion())
    return whole[: len(whole) // 2]


TABLE = [
    ("a text file named .jpg", b"This is not a photo.\n" * 20, 415, "unsupported_format"),
    ("an empty file", b"", 422, "empty"),
    ("a truncated JPEG", truncated(), 422, "damaged"),
    ("a small PNG of 120 megapixels", bomb(), 422, "too_many_pixels"),
    ("a thumbnail", painter.encoded(painter.lesion(size=32)), 422, "too_small"),
    ("a GIF", painter.encoded(painter.lesion(), "GIF"), 415, "unsupported_format"),
    ("a web page", b"<!doctype html><script>alert(1)</script>", 415, "unsupported_format"),
]
