"""What decode accepts, what it makes of it, and what it refuses."""

from io import BytesIO
from pathlib import Path

import bad_files
import numpy as np
import painter
import pytest
from PIL import Image

from lens.images import SIZE, InvalidImage, UnsupportedImage, UnusableImage, decode

RED, WHITE = (200, 30, 30), (255, 255, 255)


def encode(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def corner(side: int = 200) -> Image.Image:
    """White with one red corner, top left: shows every turn and mirror."""
    picture = Image.new("RGB", (side, side), WHITE)
    picture.paste(RED, (0, 0, side // 2, side // 2))
    return picture


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_each_accepted_format_becomes_500_px_of_rgb(format: str) -> None:
    pixels = decode(encode(Image.new("RGB", (300, 200), RED), format))
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - RED).max() <= 6


@pytest.mark.parametrize(
    ("orientation", "transpose"),
    [
        (1, None),
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (5, Image.Transpose.TRANSPOSE),
        (6, Image.Transpose.ROTATE_90),
        (7, Image.Transpose.TRANSVERSE),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_every_exif_orientation_is_turned_upright(
    orientation: int, transpose: Image.Transpose | None
) -> None:
    stored = corner() if transpose is None else corner().transpose(transpose)
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(encode(stored, "PNG", exif=exif))
    assert np.abs(pixels[100, 100].astype(int) - RED).max() <= 2
    assert (pixels[400, 100] == 255).all()
    assert (pixels[100, 400] == 255).all()


def sixteen_bit() -> Image.Image:
    return Image.fromarray(np.full((100, 100), 0x8080, np.uint16))


def hidden_colour() -> Image.Image:
    return Image.new("RGBA", (100, 100), (10, 20, 30, 0))


@pytest.mark.parametrize(
    ("name", "image", "format", "expected"),
    [
        ("16-bit grey is scaled, not clipped", sixteen_bit(), "PNG", (128, 128, 128)),
        ("a hidden colour shows as white", hidden_colour(), "PNG", WHITE),
        ("CMYK", Image.new("CMYK", (100, 100), (0, 255, 255, 0)), "JPEG", (255, 0, 0)),
        ("palette", Image.new("RGB", (100, 100), RED).quantize(4), "PNG", RED),
        ("grey with alpha", Image.new("LA", (100, 100), (0, 0)), "PNG", WHITE),
        ("one bit", Image.new("1", (100, 100), 1), "PNG", WHITE),
    ],
)
def test_each_pixel_layout_is_converted(
    name: str, image: Image.Image, format: str, expected: tuple[int, ...]
) -> None:
    got = decode(encode(image, format))[250, 250].astype(int)
    assert np.abs(got - expected).max() <= 3, name


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (100, 100), colour) for colour in (RED, (0, 0, 0))]
    data = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert tuple(decode(data)[250, 250]) == RED


def test_reduced_decoding_differs_little_from_decoding_in_full() -> None:
    large = Image.fromarray(painter.lesion(size=2600))
    data = encode(large, "JPEG", quality=95)
    full = np.asarray(Image.open(BytesIO(data)).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    assert np.abs(decode(data).astype(int) - full).mean() < 2


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [row[1:] for row in bad_files.TABLE],
    ids=[row[0] for row in bad_files.TABLE],
)
def test_each_bad_file_is_refused_in_words(data: bytes, status: int, reason: str) -> None:
    kind = {415: UnsupportedImage, 422: UnusableImage}[status]
    with pytest.raises(kind) as refused:
        decode(data)
    assert refused.value.reason == reason
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_a_file_cut_anywhere_is_refused_or_decoded_never_anything_else(format: str) -> None:
    whole = encode(Image.fromarray(painter.lesion(size=200)), format)
    for tenth in range(10):
        try:
            assert decode(whole[: len(whole) * tenth // 10]).shape == (SIZE, SIZE, 3)
        except InvalidImage as refused:
            assert refused.reason in ("empty", "damaged", "unsupported_format")


REAL = sorted(Path(__file__).parents[2].glob("shared/data/*/images/*.jpg"))[::2000]


@pytest.mark.skipif(not REAL, reason="the real images are not beside this checkout")
def test_real_photos_decode() -> None:
    assert {decode(path.read_bytes()).shape for path in REAL} == {(SIZE, SIZE, 3)}
