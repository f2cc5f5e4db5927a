"""ICC profiles of every kind that photos contain, built according to the ICC's specification."""

import struct
from itertools import product

# XYZ of the primaries, adapted to D50, as in the published profiles of these names.
PRIMARIES = {
    "sRGB": ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)),
    "P3": ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
    "Adobe": ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.7446)),
    "ProPhoto": ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)),
    "2020": (
        (0.67348, 0.27904, -0.00193),
        (0.16566, 0.67534, 0.02998),
        (0.12505, 0.04562, 0.79686),
    ),
}
D50 = (0.9642, 1.0, 0.8249)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
BT709_CURVE = (1 / 0.45, 1 / 1.099297, 0.099297 / 1.099297, 1 / 4.5, 0.081243)


def icc(
    space: str, tags: dict[str, bytes], version: int = 2, pcs: str = "XYZ ", kind: str = "mntr"
) -> bytes:
    """A profile with these tags; ``pcs`` is the connection space, ``kind`` the device class."""
    start, table, bodies = 128 + 4 + 12 * len(tags), b"", b""
    for name, body in tags.items():
        table += name.encode() + struct.pack(">II", start + len(bodies), len(body))
        bodies += body.ljust(-len(body) % 4 + len(body), b"\0")
    head = struct.pack(
        ">II4s4s4s",
        start + len(bodies),
        0,
        bytes((version, 0, 0, 0)),
        *((kind.encode(), space.encode())),
    )
    head += pcs.encode() + bytes(12) + b"acsp" + bytes(28) + _fixed(*D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + bodies


def rgb(primaries: str, curve: bytes, version: int = 2, **more: str) -> bytes:
    red, green, blue = PRIMARIES[primaries]
    tags = {"wtpt": _xyz(D50), "rXYZ": _xyz(red), "gXYZ": _xyz(green), "bXYZ": _xyz(blue)}
    tags |= dict.fromkeys(("rTRC", "gTRC", "bTRC"), curve)
    return icc("RGB ", tags, version, **more)


def grey(curve: bytes) -> bytes:
    return icc("GRAY", {"wtpt": _xyz(D50), "kTRC": curve})


def gamma(value: float) -> bytes:
    """A power curve, as in version 2."""
    return b"curv" + struct.pack(">IIH", 0, 1, round(value * 256))


def formula(*numbers: float) -> bytes:
    """A power curve with a linear part near black, as in version 4."""
    return b"para" + struct.pack(">IHH", 0, 3, 0) + _fixed(*numbers)


def table(channels: int) -> bytes:
    """A table of two points per channel, from CMYK or RGB to version 2's Lab (``mft2``)."""
    head = struct.pack(">IBBBB", 0, channels, 3, 2, 0) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    ends = struct.pack(">HH", 0, 65535)
    lab = b"".join(
        struct.pack(
            ">HHH", *(round(v) for v in (652.8 * lightness, 256 * (a + 128), 256 * (b + 128)))
        )
        for lightness, a, b in map(_lab, product((0, 1), repeat=channels))
    )
    return b"mft2" + head + struct.pack(">HH", 2, 2) + ends * channels + lab + ends * 3


def table_of_version_4() -> bytes:
    """The same for RGB, as in version 4 (``mAB ``)."""
    linear = b"curv" + struct.pack(">II", 0, 0)
    clut = bytes((2, 2, 2)).ljust(16, b"\0") + b"\2\0\0\0"
    for lightness, a, b in map(_lab, product((0, 1), repeat=3)):
        clut += struct.pack(
            ">HHH", round(655.35 * lightness), round(257 * (a + 128)), round(257 * (b + 128))
        )
    at = 32
    head = b"mAB " + struct.pack(">IBBH", 0, 3, 3, 0)
    head += struct.pack(">IIIII", at, 0, 0, at + 36, at + 36 + len(clut))
    return head + linear * 3 + clut + linear * 3


def _lab(corner: tuple[int, ...]) -> tuple[float, float, float]:
    """Lab of a corner of the table: a made-up CMYK or RGB device with dull colours."""
    if len(corner) == 4:
        cyan, magenta, yellow, black = corner
        paper = (95 - 35 * cyan - 45 * magenta - 8 * yellow, -30 * cyan + 65 * magenta, 0)
        lightness = max(paper[0] - 70 * black, 5)
        chroma = 1 - 0.8 * black
        return lightness, chroma * paper[1], chroma * (80 * yellow - 40 * cyan - 5 * magenta)
    red, green, blue = corner
    return (
        30 * red + 55 * green + 15 * blue,
        60 * red - 60 * green,
        40 * red + 30 * green - 70 * blue,
    )


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


def _xyz(numbers: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*numbers)
