"""DICOM photographs among the images of a set: real files, written by pydicom."""

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
    """A dermoscopic photograph: raw, 8 or 16 bits a sample, or a JPEG of the quality asked for."""
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
    """Two patients' photos: one raw, one of 16 bits, one compressed, one plain PNG."""
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


def prepared(photos: Path, out: Path) -> dict[str, dict[str, str]]:
    assert main(["--folders", str(photos), "--out", str(out)]) == 0
    with (out / "manifest.csv").open(newline="") as file:
        return {Path(row["path"]).name.split(".")[0]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("name", "seed", "colour", "near"),
    [
        ("raw", 1, painter.PALE, 0),
        ("sixteen", 2, painter.PALE, 0),
        ("jpeg", 3, painter.DARK, 3),
    ],
)
def test_a_dicom_photograph_shows_what_its_pixels_are(
    photos: Path, tmp_path: Path, name: str, seed: int, colour: tuple[int, int, int], near: int
) -> None:
    row = prepared(photos, tmp_path / "out")[name]
    shown = decode(Path(row["path"]).read_bytes()).astype(int)
    painted = decode(painter.encoded(painter.lesion(seed, colour, 200), "PNG")).astype(int)
    assert np.abs(shown - painted).mean() <= near


def test_a_patient_of_the_headers_stays_in_one_split_and_is_not_named(
    photos: Path, tmp_path: Path
) -> None:
    rows = prepared(photos, tmp_path / "out")
    assert rows["raw"]["group"] == rows["jpeg"]["group"] != rows["sixteen"]["group"]
    written = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not any(b"Doe" in content or b"patient-P1" in content for content in written)


def test_a_converted_photograph_is_not_converted_again(photos: Path, tmp_path: Path) -> None:
    path = Path(prepared(photos, tmp_path / "out")["raw"]["path"])
    before = path.stat().st_mtime_ns
    prepared(photos, tmp_path / "out")
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b"no DICOM"), "expected a DICOM file"),
        (lambda path: write(path, np.zeros((64, 64), np.uint8)), "got 1 (MONOCHROME2)"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9000]), "cannot be decoded"),
    ],
    ids=["no DICOM", "grey", "cut off"],
)
def test_a_file_that_is_no_colour_photograph_is_named(
    photos: Path, tmp_path: Path, spoil: object, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = photos / "benign" / "raw.dcm"
    spoil(bad)
    assert main(["--folders", str(photos), "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"prepare: {bad}: ") and words in message


def test_without_pydicom_the_message_says_what_to_install(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert main(["--folders", str(photos), "--out", str(tmp_path / "out")]) == 2
    assert "pip install pydicom" in capsys.readouterr().err
