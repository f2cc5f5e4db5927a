"""Files that are no usable photo, and what each gets: (name, bytes, status, code)."""

import struct
import zlib

import painter


def bomb() -> bytes:
    """A PNG of 12,000 x 10,000 grey pixels, 120 megapixels, in about 14 kB (1 bit a pixel)."""
    width, height = 12_000, 10_000

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = zlib.compress((b"\0" + b"\0" * (width // 8)) * height, 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


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
