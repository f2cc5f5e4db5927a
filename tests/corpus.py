"""Every kind of file that a client may send, and the expected answer to each: ``FILES``.

    python tests/corpus.py DIR      # writes the files, and expected.csv

The files in ``tests/finds/`` once caused an error, most of them found by the fuzzer.
"""

import csv
import io
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bad_files
import heic_files
import icc_files
import numpy as np
import pillow_heif
from bad_files import chunk, png
from PIL import Image, ImageCms

pillow_heif.register_heif_opener()

RED, WHITE, BLACK = (200, 30, 30), (255, 255, 255), (0, 0, 0)
CORNER = (RED, WHITE, WHITE, WHITE)
SIDE = 96
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
FINDS = sorted((Path(__file__).parent / "finds").glob("decode-*"))
# 16,000 x 16,000 pixels in 3 kB, made by Pillow and then declared as 96 x 96 (in its "ispe" box).
# Decoding it took 560 MB.
AVIF_WITH_HIDDEN_PIXELS = (Path(__file__).parent / "finds" / "avif-of-256-megapixels").read_bytes()

# How a camera stores the picture for each EXIF orientation.
TRANSPOSE_OF_ORIENTATION = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class File:
    """A file to send, and the expected answer.

    Attributes:
        name: what the file is.
        data: its bytes.
        status: HTTP status; 0 if any answer except a server error is right.
        code: of the refusal; "" if the file is accepted.
        shows: the colours top left, top right, bottom left, bottom right.
        sent_as: the file name in the form.
    """

    name: str
    data: bytes
    status: int = 200
    code: str = ""
    shows: tuple[tuple[int, int, int], ...] = (RED,) * 4
    sent_as: str = "photo.jpg"


def files() -> Iterator[File]:
    for build in (
        formats,
        rotated,
        layouts,
        frames,
        with_metadata,
        misnamed,
        sizes,
        damaged,
        bombs,
    ):
        yield from build()
    yield from (File(*row) for row in bad_files.TABLE)
    yield from (File(f"find {path.name}", path.read_bytes(), 0) for path in FINDS)


def encode(image: Image.Image, format: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def plain(mode: str = "RGB", colour: object = RED, side: int = SIDE) -> Image.Image:
    return Image.new(mode, (side, side), colour)


def corner(side: int = SIDE) -> Image.Image:
    """White with a red corner, top left, which reveals every rotation and reflection."""
    picture = plain(colour=WHITE, side=side)
    picture.paste(RED, (0, 0, side // 2, side // 2))
    return picture


def noise(side: int = SIDE) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(pixels)


def refused(name: str, data: bytes, **more: str) -> File:
    return File(name, data, 415, "unsupported_format", **more)


def unusable(name: str, data: bytes, code: str = "damaged") -> File:
    return File(name, data, 422, code)


def formats() -> Iterator[File]:
    for format in FORMATS:
        yield File(f"a plain {format}", encode(plain(), format))
    yield File("a progressive JPEG", encode(plain(), progressive=True))
    yield File("a JPEG without chroma subsampling", encode(plain(), subsampling=0))
    yield File("a JPEG with restart markers", encode(plain(), restart_marker_blocks=1))
    yield File("a lossless WebP", encode(plain(), "WEBP", lossless=True))
    yield File("an interlaced PNG", interlaced())


def rotated() -> Iterator[File]:
    for format in FORMATS:
        for orientation, turn in TRANSPOSE_OF_ORIENTATION.items():
            stored = corner() if turn is None else corner().transpose(turn)
            exif = Image.Exif()
            exif[0x0112] = orientation
            data = encode(stored, format, exif=exif.tobytes())
            yield File(f"a {format} of EXIF orientation {orientation}", data, shows=CORNER)
    for orientation in (0, 9, 65535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encode(corner(), exif=exif)
        yield File(f"a JPEG of EXIF orientation {orientation}", data, shows=CORNER)
    for name, broken in (
        ("cut off", b"Exif\0\0II*\0"),
        ("of noise", b"Exif\0\0" + noise().tobytes()),
    ):
        yield File(f"a JPEG with EXIF {name}", encode(corner(), exif=broken), shows=CORNER)


def layouts() -> Iterator[File]:
    grey = np.full((SIDE, SIDE), 0x8080, np.uint16)
    half = (128, 128, 128)
    yield File("a 16-bit grey PNG", encode(Image.fromarray(grey), "PNG"), shows=(half,) * 4)
    keyed_grey = encode(Image.fromarray(grey), "PNG", transparency=0x8080)
    yield File("a 16-bit grey PNG with a transparent grey", keyed_grey, shows=(WHITE,) * 4)
    yield File("a 16-bit RGB PNG", sixteen_bit(2, RED))
    yield File("a transparent 16-bit RGBA PNG", sixteen_bit(6, (*RED, 0)), shows=(WHITE,) * 4)
    yield File("a 16-bit grey PNG with alpha", sixteen_bit(4, (128, 255)), shows=(half,) * 4)
    deep = pillow_heif.from_bytes("RGB;16", (SIDE, SIDE), b"\x80" * (6 * SIDE * SIDE))
    buffer = io.BytesIO()
    deep.save(buffer)
    yield File("a 10-bit HEIC", buffer.getvalue(), shows=(half,) * 4)
    ink = encode(plain("CMYK", (0, 255, 255, 0)))
    yield File("a HEIC of four tiles", heic_files.grid(2, 64), shows=(BLACK,) * 4)
    yield File("a CMYK JPEG", ink, shows=((255, 0, 0),) * 4)
    yield File("a grey JPEG", encode(plain("L", 128)), shows=(half,) * 4)
    yield File("a PNG with a palette", encode(plain().quantize(4), "PNG"))
    see_through = encode(plain().quantize(1), "PNG", transparency=0)
    yield File("a PNG with a transparent palette", see_through, shows=(WHITE,) * 4)
    keyed = encode(plain(), "PNG", transparency=RED)
    yield File("a PNG with a transparent colour", keyed, shows=(WHITE,) * 4)
    yield File("a PNG of one bit", encode(plain("1", 1), "PNG"), shows=(WHITE,) * 4)
    yield File("a grey PNG with alpha", encode(plain("LA", (0, 0)), "PNG"), shows=(WHITE,) * 4)
    hidden = plain("RGBA", (10, 20, 30, 0))
    for format, options in (("PNG", {}), ("WEBP", {"exact": True}), ("AVIF", {}), ("HEIF", {})):
        data = encode(hidden, format, lossless=True, **options)
        yield File(f"a transparent {format} with colours", data, shows=(WHITE,) * 4)


def frames() -> Iterator[File]:
    more = {"save_all": True, "append_images": [plain(colour=BLACK), plain(colour=WHITE)]}
    for format in ("PNG", "WEBP", "AVIF", "HEIF"):
        yield File(f"an animated {format}", encode(plain(), format, **more))
    yield File("a JPEG of several pictures, as phones save them", encode(plain(), "MPO", **more))
    video = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\xff\xda" * 100_000
    yield File("a JPEG followed by a video, as phones save them", encode(plain()) + video)
    yield refused("an animated GIF", encode(plain(), "GIF", **more))
    without_frame = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    )
    yield unusable("an animated PNG without a frame", without_frame + chunk(b"acTL", b"\xff" * 8))


def with_metadata() -> Iterator[File]:
    """Files with profiles, text and other metadata."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for format in FORMATS:
        yield File(f"a {format} with a profile", encode(plain(), format, icc_profile=profile))
        data = encode(plain(), format, icc_profile=b"no profile")
        yield File(f"a {format} with a broken profile", data)
    # The expected colours are from transicc; the fuzzer mutates these profiles, too.
    wide = icc_files.rgb("P3", icc_files.formula(*icc_files.SRGB_CURVE), 4)
    for format in FORMATS:
        data = encode(plain(), format, icc_profile=wide)
        yield File(f"a {format} in Display P3", data, shows=((218, 0, 6),) * 4)
    dull = icc_files.icc("RGB ", {"A2B0": icc_files.table(3)}, pcs="Lab ")
    data = encode(plain(), "PNG", icc_profile=dull)
    yield File("a PNG with a table of colours", data, shows=((134, 41, 36),) * 4)
    inks = icc_files.icc("CMYK", {"A2B0": icc_files.table(4)}, pcs="Lab ", kind="prtr")
    data = encode(plain("CMYK", (0, 255, 255, 0)), icc_profile=inks)
    yield File("a CMYK JPEG with a profile", data, shows=((196, 11, 0),) * 4)
    data = encode(plain("L", 128), icc_profile=icc_files.grey(icc_files.gamma(1.5)))
    yield File("a grey JPEG with a profile", data, shows=((161, 161, 161),) * 4)
    script = b"<script>alert(1)</script><?php system($_GET[0]); ?>"
    yield File("a JPEG with a script in its comment", encode(plain(), comment=script))
    yield File("a PNG with text", with_chunks(chunk(b"tEXt", b"Comment\0" + script)))
    zero = zlib.compress(bytes(100_000_000), 9)
    yield File("a PNG whose text would unpack to 100 MB", with_chunks(ztxt(zero)))
    yield File("a PNG whose profile would unpack to 100 MB", with_chunks(iccp(zero)))
    small = ztxt(zlib.compress(bytes(1_000_000), 9))
    yield File("a PNG of 100 texts of 1 MB", with_chunks(small * 100))
    yield File("a PNG with 20,000 texts", with_chunks(chunk(b"tEXt", b"a\0b") * 20_000))
    yield File("a JPEG with 8 MB of comments", comments(128))
    wrong = chunk(b"tEXt", b"Comment\0hello")[:-1] + b"?"
    yield File("a PNG whose text has a wrong checksum", with_chunks(wrong))
    behind = encode(plain(), "PNG")
    yield File("a PNG with such a text after its pixels", behind[:-12] + wrong + behind[-12:])
    for name, odd in (
        ("short colours", chunk(b"gAMA", b"\0") + chunk(b"cHRM", b"\0")),
        ("a profile with unknown compression", chunk(b"iCCP", b"profile\0\7what")),
        ("an endless animation", chunk(b"acTL", b"\xff" * 8) + chunk(b"fcTL", b"\xff" * 26)),
    ):
        yield File(f"a PNG with {name}", with_chunks(odd))
    for name, odd in (
        ("with only the name of a profile", b"\xff\xe2\0\x0eICC_PROFILE\0"),
        ("with a damaged index of pictures", b"\xff\xe2\0\x0cMPF\0MM\0*\xff\xff"),
        ("with damaged Photoshop data", b"\xff\xed\0\x15Photoshop 3.0\x008BIM\7"),
    ):
        whole = encode(plain())
        yield File(f"a JPEG {name}", whole[:2] + odd + whole[2:])


def misnamed() -> Iterator[File]:
    """Wrong names, other formats, and files that are valid in two formats."""
    for format, name in (("JPEG", "x.exe"), ("PNG", "x.jpg"), ("HEIF", "x.jpg"), ("AVIF", "a.png")):
        yield File(f"a {format} named {name}", encode(plain(), format), sent_as=name)
    yield File("a JPEG without a suffix", encode(plain()), sent_as="photo")
    path = "../../etc/\u202egpj.\x7f;%00.php"
    yield File("a JPEG with a name that is a path", encode(plain()), sent_as=path)
    for format in ("BMP", "TIFF", "PPM", "ICO", "TGA", "PCX", "SGI", "JPEG2000", "PDF", "EPS"):
        yield refused(f"a {format} named photo.jpg", encode(plain(), format))
    yield refused("an SVG", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')
    yield refused("a program", b"\x7fELF\x02\x01\x01" + bytes(200))
    yield refused("a video", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(200))
    yield refused("a video of an iPhone", b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(200))
    yield refused("a RIFF with sound", b"RIFF\xff\0\0\0WAVEfmt " + bytes(200))
    yield refused("zero bytes", bytes(1000))
    for format in ("HEIF", "AVIF"):
        whole = encode(plain(), format)
        yield File(f"a {format} with another brand first", whole[:8] + b"miaf" + whole[12:])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("evil.class", b"\xca\xfe\xba\xbe")
    for format in FORMATS:
        whole = encode(plain(), format)
        yield File(f"a {format} that is also a ZIP archive", whole + archive.getvalue())
        yield File(f"a {format} followed by a web page", whole + b"<!doctype html>" * 9)
        yield refused(f"a PDF with a {format} inside", b"%PDF-1.7\n" + whole)
    yield refused("a GIF that is also a script", b"GIF89a/*" + bytes(20) + b"*/=alert(1)")


def sizes() -> Iterator[File]:
    small = {"code": "too_small"}
    for format in FORMATS:
        yield unusable(f"a {format} of 1 x 1", encode(plain(side=1), format), **small)
    for format in ("JPEG", "PNG"):
        thread = encode(Image.new("RGB", (20_000, 1), RED), format)
        yield unusable(f"a {format} of 20,000 x 1", thread, **small)
        ribbon = encode(Image.new("RGB", (20_000, 64), RED), format)
        yield File(f"a {format} of 20,000 x 64", ribbon)
    for format in FORMATS:
        yield File(f"a {format} of 64 x 64", encode(plain(side=64), format))


def damaged() -> Iterator[File]:
    for format in FORMATS:
        whole = encode(noise(), format)
        for tenth in range(1, 10):
            data = whole[: len(whole) * tenth // 10]
            yield unusable(f"a {format} truncated after {tenth} tenths", data)
    for name, options in (("JPEG", {}), ("progressive JPEG", {"progressive": True})):
        whole = encode(corner(), **options)
        yield File(f"a {name} without its end marker", whole[:-2], shows=CORNER)
        yield File(
            f"a {name} with zeros instead of its end marker", whole[:-2] + bytes(5000), shows=CORNER
        )
        lost = encode(noise(), **options)[:-400]
        yield unusable(f"a {name} that ends too early", lost)
        yield unusable(f"a {name} that ends too early, followed by zeros", lost + bytes(5000))
    yield unusable("a PNG with a wrong checksum", encode(noise(), "PNG").replace(b"IDAT", b"IDAX"))
    yield unusable("a JPEG that consists of a header", encode(plain())[:200] + bytes(500))
    yield unusable("a PNG without pixels", png(SIDE, SIDE, 8, 2, b""))
    yield unusable("a PNG of an unknown layout", png(SIDE, SIDE, 8, 5, bytes(SIDE * SIDE)))


def bombs() -> Iterator[File]:
    """Small files that need many pixels, much memory or much time."""
    many = {"code": "too_many_pixels"}
    whole = encode(plain())
    at = whole.index(b"\xff\xc0") + 5
    vast = whole[:at] + b"\xff\xdc" * 2 + whole[at + 4 :]
    yield unusable("a JPEG that declares 65,500 x 65,500", vast, **many)
    yield unusable("a PNG that declares 2^31 x 2^31", png(2**31 - 1, 2**31 - 1, 8, 2, b""), **many)
    wide = encode(Image.new("RGB", (8000, 4900), RED), "WEBP", method=0, quality=0)
    yield unusable("a WebP of 39 megapixels", wide, **many)
    yield unusable("an AVIF of 256 megapixels that declares 96 x 96", AVIF_WITH_HIDDEN_PIXELS)
    yield unusable("a JPEG of 39 megapixels in 1,000 scans", scans(8000, 4900, 1000))
    yield unusable("a HEIC of 96 pixels with 961 tiles of 16 megapixels", heic_files.grid(31, 4096))
    yield unusable("a JPEG of 2,000 scans of 255 components each", scans_of_255_components(2000))
    yield File("a JPEG of 20 scans", scans(SIDE, SIDE, 20), shows=((128, 128, 128),) * 4)
    large = Image.new("1", (8000, 4900))
    yield File("a PNG of 39 megapixels in one bit", encode(large, "PNG"), shows=(BLACK,) * 4)
    tall = png(64, 600_000, 1, 0, bytes(9) * 600_000)
    yield File("a PNG of 64 x 600,000", tall, shows=(BLACK,) * 4)


def sixteen_bit(colour: int, values: tuple[int, ...]) -> bytes:
    """A PNG with 16 bits per channel, which Pillow cannot write; v * 257 scales v from 8 bits."""
    pixel = b"".join(struct.pack(">H", value * 257) for value in values)
    return png(SIDE, SIDE, 16, colour, (b"\0" + pixel * SIDE) * SIDE)


def interlaced() -> bytes:
    """An interlaced PNG (Adam7), which Pillow cannot write either: seven passes of one colour."""
    passes = [(0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2)]
    passes.append((0, 1, 1, 2))
    rows = b"".join(
        (b"\0" + bytes(RED) * len(range(x, SIDE, across))) * len(range(y, SIDE, down))
        for x, across, y, down in passes
    )
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 1))
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b"")


def with_chunks(extra: bytes) -> bytes:
    return png(SIDE, SIDE, 8, 2, (b"\0" + bytes(RED) * SIDE) * SIDE, extra)


def scans(width: int, height: int, count: int) -> bytes:
    """A grey progressive JPEG that declares this size, with ``count`` additional empty scans."""
    whole = encode(plain("L", 128), progressive=True)
    size = whole.index(b"\xff\xc2") + 5
    whole = whole[:size] + struct.pack(">HH", height, width) + whole[size + 4 :]
    second = whole.index(b"\xff\xda", whole.index(b"\xff\xda") + 2)
    return whole[:-2] + whole[second : second + 10] * count + whole[-2:]


def scans_of_255_components(count: int) -> bytes:
    """A JPEG without an end whose scans name more components and coefficients than there can be."""
    body = bytes([255, *range(1, 256), *range(255), 0, 255, 0])[: 4 + 2 * 255]
    scan = b"\xff\xda" + struct.pack(">H", len(body) + 2) + body
    return encode(plain())[:-2].partition(b"\xff\xda")[0] + scan * count


def ztxt(packed: bytes) -> bytes:
    return chunk(b"zTXt", b"Comment\0\0" + packed)


def iccp(packed: bytes) -> bytes:
    return chunk(b"iCCP", b"profile\0\0" + packed)


def comments(count: int) -> bytes:
    whole = encode(plain())
    return whole[:2] + (b"\xff\xfe\xff\xff" + b"c" * 65_533) * count + whole[2:]


FILES = list(files())
REFUSED = [file for file in FILES if file.code]
READ = [file for file in FILES if file.status == 200]


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "expected.csv", "w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["file", "name", "status", "code"])
        for number, file in enumerate(FILES):
            name = f"{number:03}"
            (folder / name).write_bytes(file.data)
            rows.writerow([name, file.name, file.status, file.code])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tests/corpus.py DIR")
    write(Path(sys.argv[1]))
