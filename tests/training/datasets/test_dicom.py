"""Reading DICOM photographs, written by pydicom, as images of a set."""

import csv
import sys
from pathlib import Path

import numpy as np
import painter
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DermoscopicPhotographyImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    generate_uid,
)

from lens.images import decode
from training.prepare import main


def write(path: Path, pixels: np.ndarray, patient: str = "", quality: int = 0) -> None:
    """Write a dermoscopic photograph: raw, with 8 or 16 bits, or as JPEG with a quality above 0."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DermoscopicPhotographyImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = JPEGBaseline8Bit if quality else ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.PatientID = patient
    dataset.PatientName = "Doe^Jane"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()
    if quality:
        dataset.PhotometricInterpretation = "YBR_FULL_422"
        dataset.PixelData = encapsulate([painter.encoded(pixels, quality=quality)])
        dataset["PixelData"].is_undefined_length = True
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos of two patients: raw with 8 bits, raw with 16 bits, JPEG, and a plain PNG."""
    folder = tmp_path / "photos"
    raw = painter.lesion(1, painter.PALE, 200)
    write(folder / "benign" / "raw.dcm", raw, patient="P1")
    sixteen = painter.lesion(2, painter.PALE, 200).astype(np.uint16) * 257
    write(folder / "benign" / "sixteen.dcm", sixteen, patient="P2")
    jpeg = painter.lesion(3, painter.DARK, 200)
    write(folder / "malignant" / "jpeg.dcm", jpeg, patient="P1", quality=95)
    plain = painter.encoded(painter.lesion(4, painter.DARK, 200), "PNG")
    (folder / "malignant" / "plain.png").write_bytes(plain)
    return folder


def prepare(photos: Path, out: Path) -> dict[str, dict[str, str]]:
    assert main(["--folders", str(photos), "--out", str(out)]) == 0
    with (out / "manifest.csv").open(newline="") as file:
        return {Path(row["path"]).name.split(".")[0]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("name", "seed", "colour", "tolerance"),
    [
        ("raw", 1, painter.PALE, 0),
        ("sixteen", 2, painter.PALE, 0),
        ("jpeg", 3, painter.DARK, 3),
    ],
)
def test_a_dicom_photograph_is_converted_to_the_same_pixels(
    photos: Path, tmp_path: Path, name: str, seed: int, colour: tuple[int, int, int], tolerance: int
) -> None:
    row = prepare(photos, tmp_path / "out")[name]
    converted = decode(Path(row["path"]).read_bytes()).astype(int)
    expected = decode(painter.encoded(painter.lesion(seed, colour, 200), "PNG")).astype(int)
    assert np.abs(converted - expected).mean() <= tolerance


def test_photos_are_grouped_by_the_patient_in_the_header_without_naming_the_patient(
    photos: Path, tmp_path: Path
) -> None:
    rows = prepare(photos, tmp_path / "out")
    assert rows["raw"]["group"] == rows["jpeg"]["group"] != rows["sixteen"]["group"]
    written = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not any(b"Doe" in content or b"patient-P1" in content for content in written)


def test_a_converted_photograph_is_not_converted_again(photos: Path, tmp_path: Path) -> None:
    path = Path(prepare(photos, tmp_path / "out")["raw"]["path"])
    before = path.stat().st_mtime_ns
    prepare(photos, tmp_path / "out")
    assert path.stat().st_mtime_ns == before


def test_another_photograph_of_the_same_name_is_converted_again(
    photos: Path, tmp_path: Path
) -> None:
    before = decode(Path(prepare(photos, tmp_path / "out")["raw"]["path"]).read_bytes())
    write(photos / "benign" / "raw.dcm", painter.lesion(9, painter.PALE, 200), patient="P1")
    after = decode(Path(prepare(photos, tmp_path / "out")["raw"]["path"]).read_bytes())
    assert (before != after).any()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"no DICOM"), "expected a DICOM file"),
        (lambda path: write(path, np.zeros((64, 64), np.uint8)), "got 1 (MONOCHROME2)"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9000]), "cannot be decoded"),
    ],
    ids=["not DICOM", "grey", "truncated"],
)
def test_a_file_that_is_not_a_colour_photograph_is_reported(
    photos: Path, tmp_path: Path, damage: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = photos / "benign" / "raw.dcm"
    damage(bad)
    assert main(["--folders", str(photos), "--out", str(tmp_path / "out")]) == 1
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert last_line.startswith(f"prepare: {bad}: ") and message in last_line


def test_a_missing_pydicom_is_reported_with_the_command_to_install_it(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert main(["--folders", str(photos), "--out", str(tmp_path / "out")]) == 1
    assert "pip install pydicom" in capsys.readouterr().err
