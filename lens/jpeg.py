"""Read a JPEG's markers: its coding, its colour profile, and the parts needed for decoding."""

import re
from dataclasses import dataclass, field

import numpy as np

SIGNATURE = b"\xff\xd8"
_END, _SCAN = 0xD9, 0xDA
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)
"""Markers of all frame types; 0xF7 is JPEG-LS."""

# A marker with a length: no stuffed zero, no padding, no restart marker.
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")
_MAX_SEGMENTS = 10_000
"""A photo has a few hundred; reading a file that consists of segments would take ten seconds."""
_PADDING_BYTES = 1000
_MAX_SCAN_COMPONENTS, _COEFFICIENTS = 4, 64
_ICC = b"ICC_PROFILE\0"


@dataclass
class Jpeg:
    """A JPEG's markers, up to the end marker or the first damage.

    Attributes:
        frame: the frame marker (0xC0 is baseline), 0 if there is none.
        bits: per sample.
        components: 1 for grey, 3 for colour, 4 for CMYK.
        scans: for each scan: its components, its first and last coefficient, and how many of
            their low bits are left to later scans.
        icc: pieces of the ICC profile by their number.
        icc_pieces: the number of pieces in the whole profile.
        picture: the parts of the file that hold the picture, without metadata and without what
            follows the end marker (a video, a gain map, more pictures).
        ended: whether the end marker was found.
    """

    frame: int = 0
    bits: int = 0
    components: int = 0
    scans: list[tuple[bytes, int, int, int]] = field(default_factory=list)
    icc: dict[int, bytes] = field(default_factory=dict)
    icc_pieces: int = 0
    picture: list[memoryview] = field(default_factory=list)
    ended: bool = False

    @property
    def profile(self) -> bytes | None:
        """The ICC profile; None if there is none, or a piece is missing."""
        if not self.icc or len(self.icc) != self.icc_pieces:
            return None
        return b"".join(piece for _, piece in sorted(self.icc.items()))

    @property
    def has_all_coefficients(self) -> bool:
        """Whether the scans contain all bits of all coefficients of all components."""
        found = {component for scan in self.scans for component in scan[0]}
        missing = {(component, k) for component in found for k in range(_COEFFICIENTS)}
        has_all_components = len(found) == self.components
        for components, first, last, low_bits in self.scans:
            if low_bits == 0:
                missing -= {(c, k) for c in components for k in range(first, last + 1)}
        return has_all_components and not missing

    def files(self) -> list[bytes]:
        """The picture as a file; without an end marker, as two files with different ends.

        If a JPEG is truncated, decoders silently invent the missing blocks. Different padding gives
        different blocks, so comparing the two decoded files shows whether blocks are missing.
        """
        whole = b"".join(self.picture)
        if self.ended:
            return [whole]
        # An incomplete download may end in zeros. The first zero after FF is data.
        stem = whole.rstrip(b"\0")
        stem += b"\0" * stem.endswith(b"\xff")
        ends = np.random.default_rng(0).integers(0, 0xFF, (2, _PADDING_BYTES), np.uint8)
        return [stem + end.tobytes() + bytes((0xFF, _END)) for end in ends]


def read(data: bytes) -> Jpeg:
    """Read the markers of a file, which may be damaged anywhere.

    Raises:
        ValueError: there are more segments than in any photo.
    """
    jpeg, view = Jpeg(), memoryview(data)
    at, picture_start, segments = len(SIGNATURE), 0, 0
    while match := _MARKER.search(data, at):
        start, marker = match.start(), data[match.start() + 1]
        segments += 1
        if segments > _MAX_SEGMENTS:
            raise ValueError(f"expected at most {_MAX_SEGMENTS:,} segments in a JPEG")
        if marker == _END:
            at, jpeg.ended = start + 2, True
            break
        at = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if at < start + 4 or at > len(
            data
        ):  # The file is truncated or damaged; the decoder reports it.
            break
        body = data[start + 4 : at]
        _read_segment(jpeg, marker, body)
        if _is_metadata(marker, body):
            jpeg.picture.append(view[picture_start:start])
            picture_start = at
    jpeg.picture.append(view[picture_start : at if jpeg.ended else len(data)])
    return jpeg


def _read_segment(jpeg: Jpeg, marker: int, body: bytes) -> None:
    if marker in _FRAMES and len(body) > 5:
        jpeg.frame, jpeg.bits, jpeg.components = marker, body[0], body[5]
    elif marker == _SCAN:
        jpeg.scans.append(_scan(body))
    elif marker == 0xE2 and body.startswith(_ICC) and len(body) >= len(_ICC) + 2:
        number, pieces = body[len(_ICC) : len(_ICC) + 2]
        jpeg.icc.setdefault(number, body[len(_ICC) + 2 :])
        jpeg.icc_pieces = pieces


def _scan(body: bytes) -> tuple[bytes, int, int, int]:
    """The content of a scan's header, for ``Jpeg.scans``; an invalid scan has no components."""
    if body and 1 <= body[0] <= _MAX_SCAN_COMPONENTS and len(body) == 4 + 2 * body[0]:
        first, last, bits = body[-3:]
        if last < _COEFFICIENTS:
            return body[1:-3:2], first, last, bits & 15
    return b"", 0, 0, 0


def _is_metadata(marker: int, body: bytes) -> bool:
    """Whether a segment is not needed for decoding; JFIF, EXIF (orientation) and Adobe are."""
    if marker == 0xE1:
        return not body.startswith(b"Exif\0\0")
    return marker == 0xFE or (0xE0 <= marker <= 0xEF and marker not in (0xE0, 0xEE))
