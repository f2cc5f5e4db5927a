"""Colours of all declared spaces are converted to sRGB; expected values are from ``transicc``."""

import struct
import zlib
from io import BytesIO

import corpus
import icc_files
import numpy as np
import painter
import pytest
from bad_files import chunk
from charts import COLOURS, INKS, by_transicc, chart, needs_transicc, patches
from corpus import encode
from icc_files import BT709_CURVE, SRGB_CURVE, formula, gamma, grey, icc, rgb
from PIL import Image, ImageCms

from lens import colour
from lens.pixels import decode_here as decode  # Without a child process for AVIF, which is slow.

SRGB = rgb("sRGB", formula(*SRGB_CURVE), 4)
P3 = rgb("P3", formula(*SRGB_CURVE), 4)
ADOBE = rgb("Adobe", gamma(563 / 256))
RGB_PROFILES = {
    "Display P3, version 4": P3,
    "Adobe RGB, version 2": ADOBE,
    "ProPhoto": rgb("ProPhoto", gamma(1.8)),
    "BT.2020 of a scanner": rgb("2020", formula(*BT709_CURVE), 4, kind="scnr"),
    "linear light": rgb("sRGB", gamma(1.0)),
    "a table of version 2": icc("RGB ", {"A2B0": icc_files.table(3)}, pcs="Lab "),
    "a table of version 4": icc("RGB ", {"A2B0": icc_files.table_of_version_4()}, 4, pcs="Lab "),
}
CMYK = icc("CMYK", {"A2B0": icc_files.table(4)}, pcs="Lab ", kind="prtr")
GREYS = COLOURS[:, :1]
LOSSLESS = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {"quality": -1, "chroma": 444},
}


def max_difference(data: bytes, expected: np.ndarray) -> float:
    """The largest difference, in levels, of the decoded patches of a chart."""
    return float(np.abs(patches(decode(data)) - expected).max())


def compressed(format: str, image: Image.Image) -> np.ndarray:
    """The colours of a chart after compression in a format, without a profile."""
    return patches(decode(encode(image, format, **LOSSLESS[format])))


def same(one: bytes, other: bytes) -> bool:
    return np.array_equal(decode(one), decode(other))


@needs_transicc
@pytest.mark.parametrize("name", RGB_PROFILES)
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_each_kind_of_rgb_profile_is_applied(format: str, name: str) -> None:
    profile = RGB_PROFILES[name]
    data = encode(chart(), format, icc_profile=profile, **LOSSLESS[format])
    assert max_difference(data, by_transicc(profile, compressed(format, chart()))) <= 2


@needs_transicc
@pytest.mark.parametrize("format", corpus.FORMATS)
def test_a_profile_is_applied_in_each_format(format: str) -> None:
    data = encode(chart(), format, icc_profile=P3, **LOSSLESS[format])
    assert max_difference(data, by_transicc(P3, compressed(format, chart()))) <= 2


@needs_transicc
def test_a_profile_in_several_jpeg_segments_is_assembled_in_any_order() -> None:
    # The long tag is ignored, so the colours are right only if the profile is assembled correctly.
    long = icc("RGB ", {**tags(P3), "desc": bytes(150_000)}, 4)
    data = encode(chart(), icc_profile=long, **LOSSLESS["JPEG"])
    first = data.index(b"\xff\xe2")
    at, segments = first, []
    while data[at : at + 2] == b"\xff\xe2":
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segments.append(data[at:end])
        at = end
    assert len(segments) == 3
    reordered = data[:first] + b"".join(reversed(segments)) + data[at:]
    incomplete = data[:first] + b"".join(segments[1:]) + data[at:]
    assert max_difference(data, by_transicc(P3)) <= 2
    assert same(reordered, data)
    assert same(incomplete, encode(chart(), **LOSSLESS["JPEG"]))


def tags(profile: bytes) -> dict[str, bytes]:
    count = int.from_bytes(profile[128:132], "big")
    entries = [profile[132 + 12 * n :][:12] for n in range(count)]
    places = {
        e[:4].decode(): [int.from_bytes(e[i : i + 4], "big") for i in (4, 8)] for e in entries
    }
    return {name: profile[at : at + size] for name, (at, size) in places.items()}


@needs_transicc
@pytest.mark.parametrize("format", corpus.FORMATS)
def test_a_grey_profile_is_applied(format: str) -> None:
    profile = grey(gamma(1.5))
    data = encode(chart(GREYS), format, icc_profile=profile, **LOSSLESS[format])
    assert max_difference(data, by_transicc(profile, GREYS)) <= 2


@needs_transicc
def test_a_cmyk_profile_is_applied() -> None:
    data = encode(chart(INKS), icc_profile=CMYK, **LOSSLESS["JPEG"])
    assert max_difference(data, by_transicc(CMYK, INKS)) <= 2


@needs_transicc
def test_profiles_of_palette_and_16_bit_images_are_applied() -> None:
    palette = encode(chart().quantize(16), "PNG", icc_profile=P3)
    assert max_difference(palette, by_transicc(P3)) <= 2
    deep = Image.fromarray(np.asarray(chart(GREYS)).astype(np.uint16) * 257)
    profile = grey(gamma(1.5))
    data = encode(deep, "PNG", icc_profile=profile)
    assert max_difference(data, by_transicc(profile, GREYS)) <= 2


@needs_transicc
@pytest.mark.parametrize("profile", [P3, rgb("sRGB", gamma(1.0))], ids=["P3", "linear"])
def test_colours_are_converted_before_they_are_composited_on_white(profile: bytes) -> None:
    layer = chart()
    layer.putalpha(128)
    expected = by_transicc(profile) * 128 / 255 + 127
    assert max_difference(encode(layer, "PNG", icc_profile=profile), expected) <= 2


def with_chunks(*chunks: bytes, image: Image.Image | None = None) -> bytes:
    data = encode(image or chart(), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def cicp(primaries: int, transfer: int, full_range: int = 1) -> bytes:
    return chunk(b"cICP", bytes((primaries, transfer, 0, full_range)))


def gama(value: float) -> bytes:
    return chunk(b"gAMA", round(value * 100_000).to_bytes(4, "big"))


P3_CHROMATICITIES = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
CHRM = chunk(b"cHRM", b"".join(round(v * 100_000).to_bytes(4, "big") for v in P3_CHROMATICITIES))
ICCP = chunk(b"iCCP", b"name\0\0" + zlib.compress(ADOBE))
SRGB_CHUNK = chunk(b"sRGB", b"\0")
BROKEN = chunk(b"iCCP", b"name\0\0no deflate")
PNGS = [
    ("cICP precedes all others", (SRGB_CHUNK, ICCP, gama(1), CHRM, cicp(12, 13)), P3),
    ("iCCP precedes sRGB and gAMA", (gama(1), CHRM, SRGB_CHUNK, ICCP), ADOBE),
    ("sRGB precedes gAMA", (gama(1), CHRM, SRGB_CHUNK), SRGB),
    ("gAMA with cHRM", (gama(1 / 1.8), CHRM), rgb("P3", gamma(1.8))),
    ("gAMA alone", (gama(1 / 1.8),), rgb("sRGB", gamma(1.8))),
    ("cHRM alone", (CHRM,), P3),
    ("gAMA of sRGB", (gama(0.45455),), SRGB),
    ("gAMA of linear light", (gama(1),), rgb("sRGB", gamma(1))),
    ("an unspecified cICP", (cicp(2, 2), ICCP), ADOBE),
    ("a broken iCCP", (BROKEN, gama(1 / 1.8)), rgb("sRGB", gamma(1.8))),
    ("an iCCP with a wrong checksum", (ICCP[:-1] + bytes((ICCP[-1] ^ 1,)),), SRGB),
    ("a gAMA of zero", (gama(0),), SRGB),
    ("a cHRM of zeros", (gama(0.45455), chunk(b"cHRM", bytes(32))), SRGB),
    ("truncated chunks", (chunk(b"gAMA", b"\0"), chunk(b"cHRM", b"\0"), chunk(b"cICP", b"")), SRGB),
]


@needs_transicc
@pytest.mark.parametrize(("name", "chunks", "profile"), PNGS, ids=[row[0] for row in PNGS])
def test_the_colour_chunks_of_a_png_are_applied(
    name: str, chunks: tuple[bytes, ...], profile: bytes
) -> None:
    assert max_difference(with_chunks(*chunks), by_transicc(profile)) <= 2


@needs_transicc
def test_parameters_apply_to_grey_pixels_too() -> None:
    for chunks, curve in (((gama(1 / 1.8),), gamma(1.8)), ((cicp(1, 8),), gamma(1))):
        data = with_chunks(*chunks, image=chart(GREYS))
        assert max_difference(data, by_transicc(grey(curve), GREYS)) <= 2


@needs_transicc
def test_a_png_with_a_narrow_range_is_expanded() -> None:
    narrow = (COLOURS * 219 / 255 + 16).round()
    data = with_chunks(cicp(12, 13, full_range=0), image=chart(narrow))
    assert max_difference(data, by_transicc(P3, (narrow - 16) * 255 / 219)) <= 2


CODE_POINTS = [
    ("Display P3", 12, 13, P3),
    ("sRGB", 1, 13, SRGB),
    ("BT.709", 1, 1, rgb("sRGB", formula(*BT709_CURVE), 4)),
    ("BT.601's curve", 1, 6, rgb("sRGB", formula(*BT709_CURVE), 4)),
    ("BT.2020", 9, 14, rgb("2020", formula(*BT709_CURVE), 4)),
    ("gamma 2.2", 1, 4, rgb("sRGB", gamma(2.2))),
    ("gamma 2.8", 1, 5, rgb("sRGB", gamma(2.8))),
    ("linear light", 12, 8, rgb("P3", gamma(1))),
    ("unspecified", 2, 2, SRGB),
    ("P3 with an unspecified curve", 12, 2, P3),
    ("reserved code points", 3, 250, SRGB),
]


def with_code_points(format: str, primaries: int, transfer: int, image: Image.Image) -> bytes:
    """A HEIF or AVIF with other code points in its ``colr`` box."""
    data = encode(image, format, **LOSSLESS[format])
    at = data.index(b"colrnclx") + 8
    return data[:at] + primaries.to_bytes(2, "big") + transfer.to_bytes(2, "big") + data[at + 4 :]


@needs_transicc
@pytest.mark.parametrize("row", CODE_POINTS, ids=[row[0] for row in CODE_POINTS])
@pytest.mark.parametrize("format", ["HEIF", "AVIF"])
def test_the_code_points_of_heif_and_avif_are_applied(
    format: str, row: tuple[str, int, int, bytes]
) -> None:
    _, primaries, transfer, profile = row
    expected = by_transicc(profile, compressed(format, chart()))
    assert max_difference(with_code_points(format, primaries, transfer, chart()), expected) <= 2


@pytest.mark.parametrize(("transfer", "white"), [(16, 148.1), (18, 191.25)], ids=["PQ", "HLG"])
def test_the_reference_white_of_hdr_becomes_white_and_brighter_light_is_clipped(
    transfer: int, white: float
) -> None:
    greys = np.array([(v,) * 3 for v in (0, white * 0.6, white, 255) * 4])
    shown = patches(decode(with_code_points("HEIF", 9, transfer, chart(greys))))[:4, 0]
    assert shown[0] <= 1
    assert 60 < shown[1] < 200
    assert shown[2] >= 252
    assert shown[3] >= 254


def test_adobe_rgb_that_only_exif_declares_is_applied() -> None:
    # One entry each: the offset of the EXIF directory, that of the interoperability one, its index.
    entries = ((0x8769, 4, 1, 26), (0xA005, 4, 1, 44), (1, 2, 4, int.from_bytes(b"R03\0", "big")))
    exif = b"Exif\0\0MM\0*\0\0\0\x08"
    exif += b"".join(struct.pack(">HHHIII", 1, *entry, 0) for entry in entries)
    declared = encode(chart(), exif=exif, **LOSSLESS["JPEG"])
    embedded = encode(chart(), icc_profile=ADOBE, **LOSSLESS["JPEG"])
    assert max_difference(declared, patches(decode(embedded))) <= 1
    assert not same(declared, encode(chart(), **LOSSLESS["JPEG"]))


UNUSABLE = {
    "no profile at all": b"no profile",
    "an empty profile": b"",
    "a truncated profile": P3[: len(P3) // 2],
    "a header alone": P3[:128],
    "tags outside the file": P3[:140] + b"\xff" * 8 + P3[148:],
    "a profile for Lab": icc("Lab ", {"A2B0": icc_files.table(3)}, pcs="Lab "),
    "a device link": icc("RGB ", {"A2B0": icc_files.table(3)}, pcs="Lab ", kind="link"),
    "named colours": icc("RGB ", tags(P3), kind="nmcl"),
    "a grey profile": grey(gamma(1.0)),
    "a CMYK profile": CMYK,
    "an oversized profile": P3 + bytes(colour.MAX_PROFILE_BYTES),
}


@pytest.mark.parametrize("name", UNUSABLE)
@pytest.mark.parametrize("format", corpus.FORMATS)
def test_an_unusable_profile_counts_as_srgb(format: str, name: str) -> None:
    plain = encode(chart(), format, **LOSSLESS[format])
    assert same(encode(chart(), format, icc_profile=UNUSABLE[name], **LOSSLESS[format]), plain)


def test_a_profile_for_another_colour_space_counts_as_srgb() -> None:
    for image in (chart(GREYS), chart(INKS)):
        plain, wrong = encode(image), encode(image, icc_profile=P3)
        assert same(plain, wrong)


def test_an_srgb_photo_is_not_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [
        encode(chart(), icc_profile=SRGB),
        encode(chart(), icc_profile=rgb("sRGB", formula(*SRGB_CURVE), 2)),
        encode(chart()),
        with_chunks(SRGB_CHUNK),
        with_code_points("HEIF", 1, 13, chart()),
    ]
    decoded = [decode(file) for file in files]
    other = encode(chart(), icc_profile=P3)
    decode(other)

    def refuse(*_: object) -> None:
        raise AssertionError("a conversion")

    monkeypatch.setattr(colour.ImageCms, "applyTransform", refuse)
    for file, pixels in zip(files, decoded, strict=True):
        assert np.array_equal(decode(file), pixels)
    with pytest.raises(AssertionError):
        decode(other)


def test_the_cache_of_conversions_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "_cache", type(colour._cache)())
    for step in range(colour.MAX_CACHED_CONVERSIONS + 5):
        decode(encode(chart(), icc_profile=rgb("P3", gamma(1.5 + step / 50))))
    assert len(colour._cache) == colour.MAX_CACHED_CONVERSIONS
    monkeypatch.setattr(colour, "_build", None)
    decode(encode(chart(), icc_profile=rgb("P3", gamma(1.5 + step / 50))))


@pytest.mark.parametrize("name", ["Display P3, version 4", "Adobe RGB, version 2"])
def test_converting_after_the_resize_gives_nearly_the_same_pixels(name: str) -> None:
    """The other order takes 15 ms per megapixel.

    On ten photos of HAM10000, PAD-UFES and MILK10k, 99.9 % of values differ by at most 2 levels;
    the mean is 0.09 (Display P3) and 0.12 (Adobe RGB).
    """
    profile = RGB_PROFILES[name]
    camera, screen = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
    texture = Image.fromarray(painter.lesion(size=1400))
    photo = ImageCms.profileToProfile(texture, screen, camera, renderingIntent=1)
    converted_after = decode(encode(photo, "PNG", icc_profile=profile)).astype(int)
    converted = ImageCms.profileToProfile(photo, camera, screen, renderingIntent=1)
    converted_before = decode(encode(converted, "PNG"))
    assert np.percentile(np.abs(converted_after - converted_before), 99.9) <= 2


def test_the_gain_map_of_an_ultra_hdr_photo_is_ignored() -> None:
    """An Ultra HDR photo (JPEG_R) is an SDR picture followed by a gain map, with metadata."""
    main, gain_map = encode(chart(), icc_profile=P3), encode(Image.new("L", (128, 128), 90))
    index = b"MPF\0MM\0*\0\0\0\x08\0\0"
    segment = b"\xff\xe2" + (len(index) + 2).to_bytes(2, "big") + index
    assert same(main[:2] + segment + main[2:] + gain_map, main)
