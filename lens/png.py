"""Read a PNG's chunks: its colour space, and the file without chunks that Pillow does not need."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from lens import cicp, icc
from lens.colour import MAX_PROFILE_BYTES, SRGB, Profile

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_COLOUR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
_PASSED_ON = (b"tRNS", b"eXIf")
"""Ancillary chunks that are passed on to Pillow. Without animation, the default picture remains."""

_MAX_CHUNKS = 50_000
"""Most programs put at least 8 kB into each chunk, so a photo has far fewer."""

_LINEAR = np.linspace(0, 1, icc.CURVE_POINTS)
_SRGB_GAMMA = 45_455
"""The gAMA that the standard recommends beside an sRGB chunk. Alone, it means sRGB as well."""


@dataclass(frozen=True)
class Png:
    """A PNG prepared for decoding.

    Attributes:
        data: the file without ancillary chunks, except undamaged transparency and EXIF. Damaged
            text or an oversized profile is no reason to refuse a photo.
        profiles: its colour spaces, of which the first usable one applies.
    """

    data: bytes
    profiles: list[Profile]


def read(data: bytes) -> Png:
    """Separate a PNG's picture from its colour space. The file may be damaged anywhere.

    Raises:
        ValueError: there are more chunks than in any photo.
    """
    view = memoryview(data)
    critical: list[memoryview] = []
    ancillary: dict[bytes, memoryview] = {}
    at, kind, chunks = len(SIGNATURE), b"", 0
    while kind != b"IEND" and at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = view[at : at + 12 + length]
        at += 12 + length
        chunks += 1
        if chunks > _MAX_CHUNKS:
            raise ValueError(f"expected at most {_MAX_CHUNKS:,} chunks in a PNG")
        if not kind[0] & 0x20:
            critical.append(chunk)
        elif kind in _COLOUR_CHUNKS + _PASSED_ON and _has_valid_checksum(chunk):
            ancillary.setdefault(kind, chunk)
    passed_on = [ancillary[kind] for kind in _PASSED_ON if kind in ancillary]
    # Transparency must come after the palette and before the pixels.
    first_pixels = next(
        (n for n, chunk in enumerate(critical) if bytes(chunk[4:8]) == b"IDAT"), len(critical)
    )
    before, after = critical[:first_pixels], critical[first_pixels:]
    contents = {kind: bytes(chunk[8:-4]) for kind, chunk in ancillary.items()}
    return Png(b"".join([SIGNATURE, *before, *passed_on, *after]), _profiles(contents))


def _has_valid_checksum(chunk: memoryview) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _profiles(contents: dict[bytes, bytes]) -> list[Profile]:
    """The colour spaces in the order of the standard: cICP, iCCP, sRGB, then gAMA with cHRM."""
    found = [_from_cicp(contents.get(b"cICP", b"")), _from_iccp(contents.get(b"iCCP", b""))]
    if b"sRGB" in contents:
        found.append(SRGB)
    else:
        found.append(_from_gamma(contents.get(b"gAMA", b""), contents.get(b"cHRM", b"")))
    return [profile for profile in found if profile is not None]


def _from_cicp(chunk: bytes) -> Profile | None:
    if len(chunk) != 4:
        return None
    primaries, transfer, _matrix, full_range = chunk
    profile = cicp.profile(primaries, transfer, full_range != 0)
    return Profile(profile, from_parameters=True) if profile else None


def _from_iccp(chunk: bytes) -> Profile | None:
    _name, _, packed = chunk.partition(b"\0")
    if packed[:1] != b"\0":  # The standard defines one compression method, 0.
        return None
    try:
        # One byte over the limit makes a profile unusable, so no more is unpacked.
        return Profile(zlib.decompressobj().decompress(packed[1:], MAX_PROFILE_BYTES + 1))
    except zlib.error:
        return None


def _from_gamma(gama: bytes, chrm: bytes) -> Profile | None:
    gamma = int.from_bytes(gama, "big") if len(gama) == 4 else 0
    numbers = struct.unpack(">8I", chrm) if len(chrm) == 32 else None
    if not gamma and not numbers:
        return None
    chromaticities = icc.BT709 if numbers is None else [n / 100_000 for n in numbers]
    is_bt709 = np.allclose(chromaticities, icc.BT709, atol=0.002)
    is_srgb = not gamma or (gamma == _SRGB_GAMMA and is_bt709)
    curve = cicp.srgb(_LINEAR) if is_srgb else _LINEAR ** (100_000 / gamma)
    try:
        return Profile(icc.matrix_profile(tuple(chromaticities), curve), from_parameters=True)
    except ValueError:
        return None
