"""Colour spaces given as code points of ITU-T H.273, as in PNG's cICP and HEIF's nclx."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from lens.arrays import Floats
from lens.icc import BT709, CURVE_POINTS, Chromaticities, matrix_profile

# Chromaticities of white points.
_D65 = (0.3127, 0.329)
_ILLUMINANT_C = (0.31, 0.316)
_PRIMARIES: dict[int, Chromaticities] = {
    1: BT709,
    4: (*_ILLUMINANT_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),  # BT.470 System M
    5: (*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),  # BT.601, 625 lines
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),  # BT.601, 525 lines
    7: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),  # SMPTE 240M
    8: (*_ILLUMINANT_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),  # film
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),  # BT.2020
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),  # CIE XYZ
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # DCI-P3
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # Display P3
    22: (*_D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),  # EBU 3213
}

_HDR_WHITE_CD_PER_M2 = 203.0
"""Luminance that becomes the white of sRGB: the reference white of BT.2408. HDR signals encode
absolute luminance."""


def srgb(v: Floats) -> Floats:
    """The linear light, 0-1, of a signal with the transfer curve of sRGB."""
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def _bt709(v: Floats) -> Floats:
    return np.where(v < 0.081243, v / 4.5, ((v + 0.099297) / 1.099297) ** (1 / 0.45))


def _smpte240(v: Floats) -> Floats:
    return np.where(v < 0.0913, v / 4, ((v + 0.1115) / 1.1115) ** (1 / 0.45))


def _pq(v: Floats) -> Floats:
    root = v ** (32 / 2523)
    light = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return 10_000 / _HDR_WHITE_CD_PER_M2 * light ** (16384 / 2610)


def _hlg(v: Floats) -> Floats:
    """BT.2100 for a display of 1,000 cd/m2; its system gamma of 1.2 is applied to each channel."""
    scene = np.where(v <= 0.5, v**2 / 3, (np.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return 1000 / _HDR_WHITE_CD_PER_M2 * scene**1.2


_TRANSFERS: dict[int, Callable[[Floats], Floats]] = {
    **dict.fromkeys((1, 6, 11, 12, 14, 15), _bt709),
    4: lambda v: v**2.2,
    5: lambda v: v**2.8,
    7: _smpte240,
    8: lambda v: v,
    9: lambda v: 100 ** (v - 1),
    10: lambda v: 10 ** (2.5 * (v - 1)),
    13: srgb,
    16: _pq,
    17: lambda v: 52.37 / 48 * v**2.6,
    18: _hlg,
}


@lru_cache(maxsize=16)
def profile(primaries: int, transfer: int, full_range: bool = True) -> bytes | None:
    """Build an ICC profile from code points; unspecified and unknown ones count as those of sRGB.

    In PQ and HLG, light brighter than the reference white is clipped.

    Args:
        primaries: ColourPrimaries.
        transfer: TransferCharacteristics.
        full_range: False if RGB values range from 16 to 235, which PNG allows.

    Returns:
        The profile; None if the colour space is sRGB.
    """
    if primaries not in _PRIMARIES and transfer not in _TRANSFERS and full_range:
        return None
    signal = np.linspace(0, 1, CURVE_POINTS)
    if not full_range:
        signal = np.clip((signal * 255 - 16) / 219, 0, 1)
    curve = _TRANSFERS.get(transfer, srgb)(signal)
    return matrix_profile(_PRIMARIES.get(primaries, BT709), curve)
