"""Read a JPEG's markers: its kind, its colours, where it ends, and the picture without the rest."""

import re
from dataclasses import dataclass, field

import numpy as np

SIGNATURE = b"\xff\xd8"
_END, _SCAN = 0xD9, 0xDA
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)
"""Every kind of frame; 0xF7 is JPEG-LS."""

# FF, but no stuffed zero, no padding, no restart of the coder, and nothing that has no length.
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]")
_MOST_SEGMENTS = 10_000
"""A photo has some hundred; a file of nothing else would be walked through for ten seconds."""
_PADDING = 1000
_ICC = b"ICC_PROFILE\0"


@dataclass
class Jpeg:
    """What the markers of a JPEG say, up to its end or its first damage.

    Attributes:
        frame: the marker of its frame (0xC0 is baseline), 0 where it has none.
        bits: of a sample.
        components: 1 grey, 3 colours, 4 inks.
        scans: of each scan: its components, its first and last coefficient, and how many of their
            low bits are left to later scans.
        icc: pieces of the ICC profile by their number.
        icc_pieces: how many there must be.
        picture: parts of the file that decode to the picture; metadata, and all that is behind its
            end (a film, a gain map, further pictures), is left out.
        ended: whether it has an end marker.
        segments: how many there are.
    """

    frame: int = 0
    bits: int = 0
    components: int = 0
    scans: list[tuple[bytes, int, int, int]] = field(default_factory=list)
    icc: dict[int, bytes] = field(default_factory=dict)
    icc_pieces: int = 0
    picture: list[memoryview] = field(default_factory=list)
    ended: bool = False
    segments: int = 0

    @property
    def profile(self) -> bytes | None:
        """The ICC profile; None where there is none, or a piece is missing."""
        if not self.icc or len(self.icc) != self.icc_pieces:
            return None
        return b"".join(piece for _, piece in sorted(self.icc.items()))

    @property
    def is_covered(self) -> bool:
        """Whether the scans bring every coefficient of every component to its last bit."""
        left = {(component, k) for scan in self.scans for component in scan[0] for k in range(64)}
        whole = len(left) == 64 * self.components
        for components, first, last, low_bits in self.scans:
            if low_bits == 0:
                left -= {(c, k) for c in components for k in range(first, last + 1)}
        return whole and not left

    def files(self) -> list[bytes]:
        """The picture as a file; without an end marker, as two files with different ends.

        Where a JPEG stops, a decoder makes up the blocks that are missing, and says nothing. Out of
        different bytes it makes different blocks, so that the two show whether any is missing.
        """
        whole = b"".join(self.picture)
        if self.ended:
            return [whole]
        # An unfinished transfer may be filled with zeros; behind FF one belongs to the data.
        stem = whole.rstrip(b"\0")
        stem += b"\0" * stem.endswith(b"\xff")
        ends = np.random.default_rng(0).integers(0, 0xFF, (2, _PADDING), np.uint8)
        return [stem + end.tobytes() + bytes((0xFF, _END)) for end in ends]


def read(data: bytes) -> Jpeg:
    """Read the markers of a file, which may be damaged at any place.

    Raises:
        ValueError: they are too many to be a photo's.
    """
    jpeg, view = Jpeg(), memoryview(data)
    at, kept = len(SIGNATURE), 0
    while found := _MARKER.search(data, at):
        start, marker = found.start(), data[found.start() + 1]
        jpeg.segments += 1
        if jpeg.segments > _MOST_SEGMENTS:
            raise ValueError(f"expected at most {_MOST_SEGMENTS:,} segments in a JPEG")
        if marker == _END:
            at, jpeg.ended = start + 2, True
            break
        at = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        if at < start + 4 or at > len(data):  # Cut, or damaged: the decoder shall say so.
            break
        body = data[start + 4 : at]
        _note(jpeg, marker, body)
        if _is_metadata(marker, body):
            jpeg.picture.append(view[kept:start])
            kept = at
    jpeg.picture.append(view[kept : at if jpeg.ended else len(data)])
    return jpeg


def _note(jpeg: Jpeg, marker: int, body: bytes) -> None:
    if marker in _FRAMES and len(body) > 5:
        jpeg.frame, jpeg.bits, jpeg.components = marker, body[0], body[5]
    elif marker == _SCAN and body and len(body) == 4 + 2 * body[0]:
        first, last, bits = body[-3:]
        jpeg.scans.append((body[1:-3:2], first, last, bits & 15))
    elif marker == _SCAN:
        jpeg.scans.append((b"", 0, 0, 0))
    elif marker == 0xE2 and body.startswith(_ICC) and len(body) >= len(_ICC) + 2:
        number, pieces = body[len(_ICC) : len(_ICC) + 2]
        jpeg.icc.setdefault(number, body[len(_ICC) + 2 :])
        jpeg.icc_pieces = pieces


def _is_metadata(marker: int, body: bytes) -> bool:
    """Anything but what decoding needs: JFIF, EXIF (orientation), Adobe (kind of colours)."""
    if marker == 0xE1:
        return not body.startswith(b"Exif\0\0")
    return marker == 0xFE or (0xE0 <= marker <= 0xEF and marker not in (0xE0, 0xEE))
