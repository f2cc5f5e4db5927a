"""Which files in a folder count as photos, and how all others are reported."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from no_rights import unreadable
from PIL import Image
from published_sets import HAM, by_name, command, jpeg, picture, published, put

from training.datasets import preparation  # noqa: F401 - under unreadable() it may not be importable
from training.prepare import main


def encoded(seed: int, form: str) -> bytes:
    buffer = BytesIO()
    picture(seed).save(buffer, form)
    return buffer.getvalue()


def mask(seed: int, form: str = "PNG", high: int = 255) -> bytes:
    """A segmentation mask: a disc of one grey level on another."""
    y, x = np.mgrid[:160, :160] - 80
    disc = np.hypot(x, y * (1 + seed % 5 / 10)) < 40 + seed
    buffer = BytesIO()
    Image.fromarray((disc * high).astype(np.uint8)).save(buffer, form)
    return buffer.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return published(tmp_path / "data")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


PHOTOS = [
    ("a JPEG named .jfif", "a.jfif", encoded(1, "JPEG")),
    ("a JPEG named .jpe", "a.jpe", encoded(1, "JPEG")),
    ("a JPEG named .JPG", "a.JPG", encoded(1, "JPEG")),
    ("a JPEG named .tif", "a.tif", encoded(1, "JPEG")),
    ("a PNG without suffix", "a", encoded(1, "PNG")),
    ("a WebP named .bin", "a.bin", encoded(1, "WEBP")),
]


@pytest.mark.parametrize(("name", "content"), [p[1:] for p in PHOTOS], ids=[p[0] for p in PHOTOS])
def test_a_photo_is_recognised_by_its_content(
    data: Path, out: Path, name: str, content: bytes
) -> None:
    put(data / "folders" / "benign" / "more" / name, content)
    assert main(command(data, out, "folders")) == 0
    groups = {row["group"] for row in by_name(out).values()}
    assert f"folders:benign/more/{name}" in groups


IGNORED = [
    ("a hidden folder", ".ipynb_checkpoints/x.jpg", encoded(1, "JPEG"), "hidden", "benign/.ipynb"),
    ("a macOS system folder", "__MACOSX/x.jpg", encoded(1, "JPEG"), "hidden", "benign/__MACOSX"),
    ("a NAS system folder", "@eaDir/x.jpg", encoded(1, "JPEG"), "hidden", "benign/@eaDir"),
    ("a Windows system file", "Thumbs.db", encoded(1, "JPEG"), "hidden", "benign/Thumbs.db"),
    ("a hidden file", "._x.jpg", b"shadow", "hidden", "benign/._x.jpg"),
    ("thumbnails", "Thumbnails/x.jpg", encoded(1, "JPEG"), "thumbnails", "benign/Thumbnails/x.jpg"),
    ("masks in a folder", "lesion_masks/x.jpg", encoded(1, "JPEG"), "masks", "lesion_masks/x.jpg"),
    ("a mask by its name", "x_segmentation.png", mask(1), "masks", "x_segmentation.png"),
    ("a TIFF", "scan.tif", encoded(1, "TIFF"), "TIFF, BMP, GIF", "benign/scan.tif"),
    ("a BMP", "scan.bmp", encoded(1, "BMP"), "TIFF, BMP, GIF", "benign/scan.bmp"),
    ("a GIF without suffix", "scan", encoded(1, "GIF"), "TIFF, BMP, GIF", "benign/scan"),
    ("an archive", "part_2.zip", b"PK\x03\x04...", "archive", "benign/part_2.zip"),
    ("a text file", "LICENSE", b"All rights reserved", "not an image", "benign/LICENSE"),
]


@pytest.mark.parametrize(
    ("name", "content", "reason", "shown"), [f[1:] for f in IGNORED], ids=[f[0] for f in IGNORED]
)
def test_files_that_are_not_photos_are_counted_and_listed(
    data: Path,
    out: Path,
    name: str,
    content: bytes,
    reason: str,
    shown: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(data / "folders" / "benign" / name, content)
    assert main(command(data, out, "folders")) == 0
    assert set(by_name(out)) == {"a", "b"}
    lines = capsys.readouterr().out.splitlines()
    (index,) = [i for i, x in enumerate(lines) if x.startswith("ignored in folders, " + reason)]
    assert lines[index].endswith(": 1 file") and shown in lines[index + 1]


def test_only_three_names_are_shown_of_many_files(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(5):
        put(data / "folders" / "benign" / f"{number}.bmp", encoded(number, "BMP"))
    main(command(data, out, "folders"))
    printed = capsys.readouterr().out
    assert ": 5 files\n    benign/0.bmp, benign/1.bmp, benign/2.bmp, ...\n" in printed


def test_photos_in_a_linked_folder_are_used_once(data: Path, out: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "linked.jpg", 7)
    (data / "folders" / "benign" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "round").symlink_to(data / "folders" / "benign")
    assert main(command(data, out, "folders")) == 0
    assert set(by_name(out)) == {"a", "b", "linked"}


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("folder", ["annotations", "lesion outlines"])
def test_a_mask_is_never_used_instead_of_the_photo_with_the_same_name(
    data: Path, out: Path, folder: str, form: str
) -> None:
    for seed in (101, 102, 103, 104):
        put(data / "ham10000" / folder / f"ISIC_0000{seed}.{form.lower()}", mask(seed % 100, form))
    assert main(command(data, out, "ham10000")) == 0
    assert {Path(row["path"]).parent.name for row in by_name(out).values()} == {
        "HAM10000_images_part_1"
    }


@pytest.mark.parametrize("high", [255, 1], ids=["black and white", "0 and 1"])
def test_a_mask_is_recognised_by_its_grey_levels(
    data: Path, out: Path, high: int, capsys: pytest.CaptureFixture[str]
) -> None:
    put(data / "folders" / "benign" / "c.png", mask(3, high=high))
    assert main(command(data, out, "folders")) == 0
    assert set(by_name(out)) == {"a", "b"}
    assert "c.png (a mask: only two grey levels)" in capsys.readouterr().out


DROPPED = [
    ("a copy", jpeg(picture(101)), "identical copies with the same name"),
    ("a smaller size", jpeg(picture(101).resize((96, 96))), "same or a smaller size"),
    ("a size too small", jpeg(picture(101).resize((32, 32))), "too small, beside another"),
]


@pytest.mark.parametrize(
    ("content", "reason"), [d[1:] for d in DROPPED], ids=[d[0] for d in DROPPED]
)
def test_the_largest_of_several_files_with_the_same_name_is_used_and_the_others_are_reported(
    data: Path,
    out: Path,
    content: bytes,
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    put(data / "ham10000" / "more" / "ISIC_0000101.jpg", content)
    assert main(command(data, out, "ham10000")) == 0
    assert len(by_name(out)) == 4
    assert Path(by_name(out)["ISIC_0000101"]["path"]).parent.name == "HAM10000_images_part_1"
    printed = capsys.readouterr().out
    assert reason in printed and "more/ISIC_0000101.jpg" in printed


def test_two_different_pictures_with_the_same_name_stop_the_run(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(data / "ham10000" / "more" / "ISIC_0000101.jpg", 9)
    assert main(command(data, out, "ham10000")) == 1
    assert (
        "expected one picture named ISIC_0000101, found different ones: "
        "HAM10000_images_part_1/ISIC_0000101.jpg and more/ISIC_0000101.jpg; keep only one"
    ) in capsys.readouterr().err


@pytest.mark.parametrize("source", ["folders", "ham10000", "not_lesion"])
def test_a_folder_that_cannot_be_read_stops_the_run(
    data: Path, out: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = data / source / "closed"
    put(closed / "x.jpg", 8)
    out.mkdir()
    with unreadable(closed):
        assert main(command(data, out, source)) == 1
    assert f"prepare: {closed}: cannot be read: Permission denied" in capsys.readouterr().err


CLASS_FOLDERS = [
    ("in capitals", "BENIGN", "Malignant"),
    ("with blanks", "Benign ", " malignant"),
    ("in wide letters", "ｂｅｎｉｇｎ", "ｍａｌｉｇｎａｎｔ"),
]


@pytest.mark.parametrize(
    ("benign", "malignant"), [c[1:] for c in CLASS_FOLDERS], ids=[c[0] for c in CLASS_FOLDERS]
)
def test_class_folders_are_recognised_in_any_case_and_width(
    data: Path, out: Path, benign: str, malignant: str
) -> None:
    (data / "folders" / "benign").rename(data / "folders" / benign)
    (data / "folders" / "malignant").rename(data / "folders" / malignant)
    assert main(command(data, out, "folders")) == 0
    assert {name: row["malignant"] for name, row in by_name(out).items()} == {"a": "0", "b": "1"}


@pytest.mark.parametrize("name", ["gutartig", "doброкачественные", "良性", "benign_moles", "bénin"])
def test_a_missing_class_folder_is_reported_with_the_folders_found(
    data: Path, out: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "folders" / "benign").rename(data / "folders" / name)
    assert main(command(data, out, "folders")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected images in folders named benign and malignant, found no benign/" in line
    assert repr(f"{name}/") in line


def test_photos_outside_the_class_folders_are_ignored_and_listed(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(data / "folders" / "unsorted" / "c.jpg", 3)
    assert main(command(data, out, "folders")) == 0
    assert set(by_name(out)) == {"a", "b"}
    printed = capsys.readouterr().out
    assert "in neither a benign nor a malignant folder: 1 file\n    unsorted/c.jpg" in printed


def test_listed_images_without_a_photo_and_photos_not_in_the_table_are_reported(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = data / "ham10000" / "HAM10000_images_part_1"
    (images / "ISIC_0000104.jpg").unlink()
    put(images / "ISIC_0000104.tiff", encoded(104, "TIFF"))
    put(images / "ISIC_0000999.jpg", 999)
    assert main(command(data, out, "ham10000")) == 0
    printed = capsys.readouterr().out
    assert "listed in ham10000, but the file is missing: 1 image\n    ISIC_0000104\n" in printed
    assert "not in its table: 1 file\n    ISIC_0000999.jpg\n" in printed
    assert f"read: ham10000 from {HAM}\n" in printed
