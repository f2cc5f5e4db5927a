"""Read a PNG's chunks: the colours they name, and the file without what Pillow need not see."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from lens import cicp, icc
from lens.colour import MAX_PROFILE, SRGB, Profile

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_COLOURS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
_KEPT = (b"tRNS", b"eXIf")
"""Of the ancillary chunks. Animation is left out: what remains is the picture for all viewers."""

_MOST_CHUNKS = 50_000
"""Most programs write one every 8 kB or more."""

_LINEAR = np.linspace(0, 1, icc.CURVE_POINTS)
_AS_SRGB = 45_455
"""gAMA of sRGB photos, which the standard wants beside an sRGB chunk; alone it means the same."""


@dataclass(frozen=True)
class Png:
    """What a PNG holds.

    Attributes:
        data: the file without ancillary chunks, but transparency and EXIF where these are sound. A
            damaged text or an endless profile is no fault of the picture.
        profiles: the first that is of use decides.
    """

    data: bytes
    profiles: list[Profile]


def read(data: bytes) -> Png:
    """Split a PNG into what Pillow decodes and the colours; it may be damaged at any place.

    Raises:
        ValueError: its chunks are too many to be a photo's.
    """
    view = memoryview(data)
    critical: list[memoryview] = []
    ancillary: dict[bytes, memoryview] = {}
    at, kind = len(SIGNATURE), b""
    while kind != b"IEND" and at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        whole = view[at : at + 12 + length]
        at += 12 + length
        if len(critical) > _MOST_CHUNKS:
            raise ValueError(f"expected at most {_MOST_CHUNKS:,} chunks in a PNG")
        if not kind[0] & 0x20:
            critical.append(whole)
        elif kind in _COLOURS + _KEPT and _is_sound(whole):
            ancillary.setdefault(kind, whole)
    kept = [ancillary[kind] for kind in _KEPT if kind in ancillary]
    # Transparency belongs behind the palette and before the pixels.
    first = next((n for n, chunk in enumerate(critical) if chunk[4:8] == b"IDAT"), len(critical))
    parts: list[bytes | memoryview] = [SIGNATURE, *critical[:first], *kept, *critical[first:]]
    colours = {kind: bytes(chunk[8:-4]) for kind, chunk in ancillary.items()}
    return Png(b"".join(parts), _profiles(colours))


def _is_sound(chunk: memoryview) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _profiles(colours: dict[bytes, bytes]) -> list[Profile]:
    """In the standard's order: cICP, iCCP, sRGB, then gAMA with cHRM."""
    found = [_by_numbers(colours.get(b"cICP", b"")), _embedded(colours.get(b"iCCP", b""))]
    if b"sRGB" in colours:
        found.append(SRGB)
    else:
        found.append(_by_gamma(colours.get(b"gAMA", b""), colours.get(b"cHRM", b"")))
    return [profile for profile in found if profile is not None]


def _by_numbers(chunk: bytes) -> Profile | None:
    if len(chunk) != 4:
        return None
    primaries, transfer, _matrix, full_range = chunk
    numbered = cicp.profile(primaries, transfer, full_range != 0)
    return Profile(numbered, by_numbers=True) if numbered else None


def _embedded(chunk: bytes) -> Profile | None:
    _name, _, packed = chunk.partition(b"\0")
    if packed[:1] != b"\0":  # Deflate is the only method.
        return None
    try:
        # One byte over the limit is enough to be refused; the rest is never unpacked.
        return Profile(zlib.decompressobj().decompress(packed[1:], MAX_PROFILE + 1))
    except zlib.error:
        return None


def _by_gamma(gama: bytes, chrm: bytes) -> Profile | None:
    gamma = int.from_bytes(gama, "big") if len(gama) == 4 else 0
    numbers = struct.unpack(">8I", chrm) if len(chrm) == 32 else None
    if not gamma and not numbers:
        return None
    lights = icc.BT709 if numbers is None else [number / 100_000 for number in numbers]
    is_srgb = not gamma or (gamma == _AS_SRGB and np.allclose(lights, icc.BT709, atol=0.002))
    curve = cicp.srgb(_LINEAR) if is_srgb else _LINEAR ** (100_000 / gamma)
    try:
        return Profile(icc.matrix_profile(tuple(lights), curve), by_numbers=True)
    except ValueError:
        return None
