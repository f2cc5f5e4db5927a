"""Which files are read as photos, which other kinds are known, and the errors for the rest."""

import re
import struct
from dataclasses import dataclass
from enum import StrEnum

# An allowlist: Pillow's rarely used decoders (FPX, SGI, PSD ...) are where its CVEs are found.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")

BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
"""Of AVIF and HEIF, those that name the coding first."""
_READ = (
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (8, b"WEBP"),
    *((4, b"ftyp" + brand) for brand in BRANDS),
)


class Family(StrEnum):
    """What to do with a file of a known kind that is not read."""

    PICTURE = "Please open it in an image program and save it as a JPEG or PNG."
    RAW = "Please send the JPEG that the camera saved too, or export one."
    DOCUMENT = "Please send the photo itself, as a JPEG, PNG, WebP, AVIF or HEIC file."
    VIDEO = "Please send a photo, not a video."


@dataclass(frozen=True)
class Kind:
    """A kind of file that is known and not read: its name, and what to do with it."""

    name: str
    family: Family


_OTHERS = tuple(
    (offset, re.compile(pattern, re.DOTALL), Kind(name, family))
    for offset, pattern, name, family in (
        (0, rb"II\*\x00.{4}CR|IIR[OS]|MMOR|IIU\x00|FUJIFILMCCD-RAW", "RAW", Family.RAW),
        (0, rb"II[*+]\x00|MM\x00[*+]", "TIFF", Family.PICTURE),
        (0, rb"\xff\x0a|\x00\x00\x00\x0cJXL ", "JPEG XL", Family.PICTURE),
        (0, rb"\xff\x4f\xff\x51|\x00\x00\x00\x0cjP  ", "JPEG 2000", Family.PICTURE),
        (4, rb"ftypcrx ", "RAW", Family.RAW),
        (0, rb"BM.{12}[\x0c-\x7c]\x00\x00\x00", "BMP", Family.PICTURE),
        (0, rb"GIF8", "GIF", Family.PICTURE),
        (0, rb"8BPS", "PSD", Family.PICTURE),
        (128, rb"DICM", "DICOM", Family.PICTURE),
        (0, rb"(\xef\xbb\xbf)?\s*(<[?!][^<]{,2000}>\s*){,9}<svg", "SVG", Family.DOCUMENT),
        (0, rb"%PDF-", "PDF", Family.DOCUMENT),
        (0, rb"PK\x03\x04", "ZIP", Family.DOCUMENT),
        (4, rb"ftypqt  |moov|mdat|wide", "MOV", Family.VIDEO),
        (4, rb"ftyp(iso|mp4|avc|M4|3g|dash|MSNV|mmp4|f4v)", "MP4", Family.VIDEO),
        (0, rb"\x1a\x45\xdf\xa3", "WebM", Family.VIDEO),
        (8, rb"AVI ", "AVI", Family.VIDEO),
    )
)

# Frames of JPEG that the decoder does not know; 0xF7 is JPEG-LS.
_JPEGS = {0xC3: "lossless", 0xCB: "lossless", 0xF7: "JPEG-LS"} | dict.fromkeys(
    (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF), "hierarchical"
)


class InvalidImage(Exception):
    """A file that cannot be judged as a photo.

    ``str(error)`` is a sentence fit for a person; ``reason`` is a stable code for programs.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnsupportedImage(InvalidImage):
    """The file is not in one of the accepted formats; ``kind`` is its own, where it is known."""

    def __init__(self, kind: Kind | None) -> None:
        named = f"of type {kind.name}, which we cannot read" if kind else "not a photo we can read"
        advice = kind.family if kind else "Please send a JPEG, PNG, WebP, AVIF or HEIC photo."
        super().__init__("unsupported_format", f"This file is {named}. {advice}")
        self.kind = kind


class UnusableImage(InvalidImage):
    """The format is accepted, but this file is empty, damaged, too large or too small."""


def with_known_brand(data: bytes) -> bytes:
    """An AVIF or HEIF whose brand another one precedes, with it in front: Pillow reads one only."""
    if data[4:8] != b"ftyp" or data[8:12] in BRANDS:
        return data
    compatible = data[16 : min(int.from_bytes(data[:4], "big"), 400)]
    brands = [compatible[at : at + 4] for at in range(0, len(compatible), 4)]
    known = next((brand for brand in BRANDS if brand in brands), data[8:12])
    return data[:8] + known + data[12:]


def is_read(data: bytes) -> bool:
    """Whether a file begins as one of the accepted formats."""
    return any(data[at : at + len(mark)] == mark for at, mark in _READ)


def kind_of(data: bytes) -> Kind | None:
    """The kind of a file that is not read; None where it is not known."""
    kind = next((kind for at, mark, kind in _OTHERS if mark.match(data, at)), None)
    if kind and kind.name == "TIFF" and _is_raw(data):
        return Kind("RAW", Family.RAW)
    return kind


def kind_of_jpeg(frame: int, bits: int) -> Kind | None:
    """The kind of a JPEG that is not read, by its frame's marker and the bits of a sample."""
    name = _JPEGS.get(frame) or (f"{bits}-bit" if bits not in (0, 8) else None)
    if name is None:
        return None
    return Kind(name if name.startswith("JPEG") else f"{name} JPEG", Family.PICTURE)


def _is_raw(data: bytes) -> bool:
    """Whether a TIFF is a camera's: a DNG, or a maker's name and directories inside directories."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, at)
        tags = {struct.unpack_from(order + "H", data, at + 2 + 12 * n)[0] for n in range(count)}
    except struct.error:
        return False
    return 0xC612 in tags or {0x010F, 0x014A} <= tags
