"""Recognise file types by content: accepted photos, and other types that errors can name."""

import re
import struct
from dataclasses import dataclass
from enum import StrEnum

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
"""Accepted formats. Most of Pillow's CVEs are in its rarely used decoders (FPX, SGI, PSD ...)."""

BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
"""Brands of AVIF and HEIF; specific ones come before the general mif1 and msf1."""

_ACCEPTED_SIGNATURES = (
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (8, b"WEBP"),
    *((4, b"ftyp" + brand) for brand in BRANDS),
)


class Advice(StrEnum):
    """What a person can do with a file that is not accepted."""

    PICTURE = "Please open it in an image program and save it as a JPEG or PNG."
    RAW = "Please send the JPEG that the camera saved too, or export one."
    DOCUMENT = "Please send the photo itself, as a JPEG, PNG, WebP, AVIF or HEIC file."
    VIDEO = "Please send a photo, not a video."


@dataclass(frozen=True)
class FileType:
    """A known type of file that is not accepted."""

    name: str
    advice: Advice


_OTHER_TYPES = tuple(
    (offset, re.compile(pattern, re.DOTALL), FileType(name, advice))
    for offset, pattern, name, advice in (
        (0, rb"II\*\x00.{4}CR|IIR[OS]|MMOR|IIU\x00|FUJIFILMCCD-RAW", "RAW", Advice.RAW),
        (0, rb"II[*+]\x00|MM\x00[*+]", "TIFF", Advice.PICTURE),
        (0, rb"\xff\x0a|\x00\x00\x00\x0cJXL ", "JPEG XL", Advice.PICTURE),
        (0, rb"\xff\x4f\xff\x51|\x00\x00\x00\x0cjP  ", "JPEG 2000", Advice.PICTURE),
        (4, rb"ftypcrx ", "RAW", Advice.RAW),
        (0, rb"BM.{12}[\x0c-\x7c]\x00\x00\x00", "BMP", Advice.PICTURE),
        (0, rb"GIF8", "GIF", Advice.PICTURE),
        (0, rb"8BPS", "PSD", Advice.PICTURE),
        (128, rb"DICM", "DICOM", Advice.PICTURE),
        (0, rb"(\xef\xbb\xbf)?\s*(<[?!][^<]{,2000}>\s*){,9}<svg", "SVG", Advice.DOCUMENT),
        (0, rb"%PDF-", "PDF", Advice.DOCUMENT),
        (0, rb"PK\x03\x04", "ZIP", Advice.DOCUMENT),
        (4, rb"ftypqt  |moov|mdat|wide", "MOV", Advice.VIDEO),
        (4, rb"ftyp(iso|mp4|avc|M4|3g|dash|MSNV|mmp4|f4v)", "MP4", Advice.VIDEO),
        (0, rb"\x1a\x45\xdf\xa3", "WebM", Advice.VIDEO),
        (8, rb"AVI ", "AVI", Advice.VIDEO),
    )
)

# Types of JPEG that the decoder does not support, by frame marker.
_UNSUPPORTED_JPEGS = {0xC3: "lossless", 0xCB: "lossless", 0xF7: "JPEG-LS"} | dict.fromkeys(
    (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical"
)


class InvalidImage(Exception):
    """A file cannot be judged; ``str(error)`` explains why, ``reason`` is a stable code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnsupportedImage(InvalidImage):
    """The file is not in an accepted format; ``file_type`` is None if its type is unknown."""

    def __init__(self, file_type: FileType | None) -> None:
        if file_type:
            message = f"of type {file_type.name}, which we cannot read. {file_type.advice}"
        else:
            message = "not a photo we can read. Please send a JPEG, PNG, WebP, AVIF or HEIC photo."
        super().__init__("unsupported_format", f"This file is {message}")
        self.file_type = file_type


class UnusableImage(InvalidImage):
    """The format is accepted, but this file is empty, damaged, too large or too small."""


def with_known_brand(data: bytes) -> bytes:
    """Put a known brand of an AVIF or HEIF first, because Pillow reads only the first brand."""
    if data[4:8] != b"ftyp" or data[8:12] in BRANDS:
        return data
    compatible = data[16 : min(int.from_bytes(data[:4], "big"), 400)]
    brands = [compatible[at : at + 4] for at in range(0, len(compatible), 4)]
    known = next((brand for brand in BRANDS if brand in brands), data[8:12])
    return data[:8] + known + data[12:]


def is_accepted(data: bytes) -> bool:
    """Whether a file starts like one of the accepted formats."""
    data = with_known_brand(data)
    return any(
        data[offset : offset + len(signature)] == signature
        for offset, signature in _ACCEPTED_SIGNATURES
    )


def known_type(data: bytes) -> FileType | None:
    """The type of a file that is not accepted; None if the type is unknown."""
    found = next(
        (kind for offset, pattern, kind in _OTHER_TYPES if pattern.match(data, offset)), None
    )
    if found and found.name == "TIFF" and _is_raw(data):
        return FileType("RAW", Advice.RAW)
    return found


def unsupported_jpeg(frame: int, bits: int) -> FileType | None:
    """The type of a JPEG that is not accepted, by its frame marker and the bits per sample."""
    name = _UNSUPPORTED_JPEGS.get(frame) or (f"{bits}-bit" if bits not in (0, 8) else None)
    if name is None:
        return None
    return FileType(name if name.startswith("JPEG") else f"{name} JPEG", Advice.PICTURE)


def _is_raw(data: bytes) -> bool:
    """Whether a TIFF is a raw photo: a DNG, or a file with a camera maker and sub-directories."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, at)
        tags = {struct.unpack_from(order + "H", data, at + 2 + 12 * n)[0] for n in range(count)}
    except struct.error:
        return False
    return 0xC612 in tags or {0x010F, 0x014A} <= tags
