"""What ``decode`` accepts, what it returns, and what it refuses."""

import struct
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import corpus
import numpy as np
import painter
import pytest
from bad_files import png
from corpus import File, encode
from PIL import Image
from serving import ROOT

from lens.images import SIZE, UnsupportedImage, UnusableImage, decode

# Decodes photos at the same time, each of which needs nearly all the memory allowed for decoding.
DECODE_CONCURRENTLY = """
import re, sys, threading
from pathlib import Path
from lens.images import decode
def peak_kb():  # Not ru_maxrss, which includes the memory of the parent process.
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
photos = [open(path, "rb").read() for path in sys.argv[1:]]
decode(photos.pop())
before = peak_kb()
threads = [threading.Thread(target=decode, args=(photo,)) for photo in photos]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(peak_kb() - before)
"""


def corners(pixels: np.ndarray) -> np.ndarray:
    return pixels[100::300, 100::300].reshape(-1, 3).astype(int)


@pytest.mark.parametrize("file", corpus.READ, ids=lambda file: file.name)
def test_each_usable_file_is_decoded_to_500_px_of_rgb_in_the_expected_colours(file: File) -> None:
    pixels = decode(file.data)
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(corners(pixels) - file.shows).max() <= 6


@pytest.mark.parametrize("file", corpus.REFUSED, ids=lambda file: file.name)
def test_each_bad_file_is_refused_with_a_message(file: File) -> None:
    kind = {415: UnsupportedImage, 422: UnusableImage}[file.status]
    with pytest.raises(kind) as error:
        decode(file.data)
    assert error.value.reason == file.code
    assert str(error.value).endswith(".")


def with_frame(marker: int, bits: int = 8) -> bytes:
    """A JPEG that declares another type of frame."""
    whole = encode(corpus.plain())
    at = whole.index(b"\xff\xc0")
    return (
        whole[: at + 1]
        + bytes((marker,))
        + whole[at + 2 : at + 4]
        + bytes((bits,))
        + whole[at + 5 :]
    )


def tiff(*tags: int) -> bytes:
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, 0) for tag in sorted(tags))
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)


FILE_TYPES = [
    ("12-bit JPEG", with_frame(0xC1, 12)),
    ("lossless JPEG", with_frame(0xC3)),
    ("hierarchical JPEG", with_frame(0xC5)),
    ("JPEG-LS", with_frame(0xF7)),
    ("JPEG XL", b"\xff\x0a" + bytes(90)),
    ("JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(90)),
    ("JPEG 2000", encode(corpus.plain(), "JPEG2000")),
    ("TIFF", encode(corpus.plain(), "TIFF")),
    ("TIFF", tiff(0x100, 0x10F)),
    ("RAW", tiff(0x10F, 0x14A)),
    ("RAW", tiff(0x100, 0xC612)),
    ("RAW", b"II*\0\x10\0\0\0CR\2\0" + bytes(90)),
    ("RAW", b"\0\0\0\x18ftypcrx " + bytes(90)),
    ("BMP", encode(corpus.plain(), "BMP")),
    ("GIF", encode(corpus.plain(), "GIF")),
    ("SVG", b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- by hand -->\n<svg xmlns="..."/>'),
    ("PDF", encode(corpus.plain(), "PDF")),
    ("MP4", b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(90)),
    ("MOV", b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(90)),
]


@pytest.mark.parametrize(("kind", "data"), FILE_TYPES, ids=[kind for kind, _ in FILE_TYPES])
def test_the_message_about_a_known_file_type_names_it_and_says_what_to_do(
    kind: str, data: bytes
) -> None:
    with pytest.raises(
        UnsupportedImage, match=f"of type {kind}, which we cannot read. Please"
    ) as error:
        decode(data)
    assert "damaged" not in str(error.value)


def test_a_video_appended_to_a_jpeg_changes_no_pixel() -> None:
    still = encode(corpus.noise(600))
    assert (decode(still + b"\xff\xda" * 1_000_000) == decode(still)).all()


def test_a_jpeg_without_its_end_marker_decodes_to_the_same_pixels() -> None:
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 1}):
        whole = encode(corpus.noise(600), **options)
        assert (decode(whole[:-2]) == decode(whole)).all()


def test_decoding_the_largest_photos_concurrently_takes_a_worker_less_than_400_mb(
    tmp_path: Path,
) -> None:
    transparent_png = png(8000, 4900, 8, 6, bytes(1 + 4 * 8000) * 4900)
    transparent_webp = encode(Image.new("RGBA", (5000, 3000)), "WEBP", lossless=True, method=0)
    paths = []
    for number, data in enumerate(
        (transparent_png, transparent_webp, encode(Image.new("RGB", (64, 64))))
    ):
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(data)
    command = [sys.executable, "-c", DECODE_CONCURRENTLY, *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    # An idle worker takes 120 MB.
    assert int(done.stdout) * 1024 < 280_000_000


def test_the_preview_inside_a_heic_is_ignored() -> None:
    photo = corpus.noise(600)
    with_preview = encode(photo, "HEIF", thumbnails=[500])
    assert len(with_preview) > len(encode(photo, "HEIF"))
    assert (decode(with_preview) == decode(encode(photo, "HEIF"))).all()


@pytest.mark.parametrize("size", [(800, 600), (3301, 1702)])
def test_a_photo_gives_the_same_pixels_with_and_without_an_alpha_channel(
    size: tuple[int, int],
) -> None:
    photo = corpus.noise(512).resize(size)
    with_alpha = photo.copy()
    with_alpha.putalpha(255)
    opaque, layered = (decode(encode(p, "PNG", compress_level=1)) for p in (photo, with_alpha))
    assert (opaque == layered).all()


def test_decoding_at_reduced_scale_differs_little_from_full_scale() -> None:
    large = Image.fromarray(painter.lesion(size=2600))
    data = encode(large, "JPEG", quality=95)
    full = np.asarray(Image.open(BytesIO(data)).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    assert np.abs(decode(data).astype(int) - full).mean() < 2


REAL = sorted(ROOT.parent.glob("shared/data/*/images/*.jpg"))[::2000]


@pytest.mark.skipif(not REAL, reason="the real images are not beside this checkout")
def test_real_photos_decode() -> None:
    assert {decode(path.read_bytes()).shape for path in REAL} == {(SIZE, SIZE, 3)}
