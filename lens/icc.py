"""Build ICC profiles, for LittleCMS, from primaries and a tone curve."""

import struct

import numpy as np

from lens.arrays import Floats

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue, in the order of PNG's cHRM."""

BT709: Chromaticities = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""Also those of sRGB."""

CURVE_POINTS = 4096
"""Number of samples of a tone curve; LittleCMS interpolates between them."""

_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def matrix_profile(chromaticities: Chromaticities, curve: Floats) -> bytes:
    """Build an ICC profile (version 2.4, monitor class) of three primaries and one tone curve.

    Args:
        chromaticities: of white and the primaries.
        curve: float (CURVE_POINTS,), the linear light, 0-1, for signals from 0 to 1.

    Raises:
        ValueError: the chromaticities are not those of three primaries and a white.
    """
    try:
        primaries = _primaries(np.array(chromaticities).reshape(4, 2))
    except np.linalg.LinAlgError as error:
        raise ValueError(f"expected three primaries and a white, got {chromaticities}") from error
    if not np.isfinite(primaries).all() or np.abs(primaries).max() > 8:
        raise ValueError(f"expected plausible chromaticities, got {chromaticities}")
    light = np.round(np.clip(curve, 0, 1) * 65535).astype(">u2").tobytes()
    tone = b"curv" + struct.pack(">II", 0, len(curve)) + light
    contents = [_xyz(_D50), *(_xyz(primary) for primary in primaries.T), tone]
    # The three channels share one curve.
    tags = [(b"wtpt", 0), (b"rXYZ", 1), (b"gXYZ", 2), (b"bXYZ", 3)]
    tags += [(b"rTRC", 4), (b"gTRC", 4), (b"bTRC", 4)]
    start = 128 + 4 + 12 * len(tags)
    offsets = [start + sum(map(len, contents[:number])) for number in range(len(contents))]
    table = struct.pack(">I", len(tags)) + b"".join(
        tag + struct.pack(">II", offsets[number], len(contents[number])) for tag, number in tags
    )
    return _header(start + sum(map(len, contents))) + table + b"".join(contents)


def _primaries(xy: Floats) -> Floats:
    """XYZ of full red, green and blue as columns, adapted from the file's white to D50."""
    x, y = xy.T
    with np.errstate(divide="ignore", invalid="ignore"):
        xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    if not np.isfinite(xyz).all():
        raise np.linalg.LinAlgError("a chromaticity with y = 0")
    white, primaries = xyz[:, 0], xyz[:, 1:]
    primaries = primaries * np.linalg.solve(primaries, white)
    gain = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    return np.linalg.inv(_BRADFORD) @ (gain[:, None] * (_BRADFORD @ primaries))


def _xyz(value: Floats) -> bytes:
    return b"XYZ \0\0\0\0" + np.round(value * 65536).astype(">i4").tobytes()


def _header(size: int) -> bytes:
    kinds = struct.pack(">II4s4s4s", 0, 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head = struct.pack(">I", size) + kinds + bytes(12) + b"acsp" + bytes(28)
    return (head + np.round(_D50 * 65536).astype(">i4").tobytes()).ljust(128, b"\0")
