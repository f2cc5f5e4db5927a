"""DICOM photographs to PNG, without the header that names the patient.

It needs the package pydicom, as few people do: imported here alone, and once a DICOM file comes.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from training.datasets.sources import PrepareError, Record, Source

SUFFIX = ".dcm"


def without_dicom(read: list[Source], folder: Path) -> list[Source]:
    """The sources with every DICOM file replaced by a PNG made of it under ``folder``.

    A PNG that is there already is not made again. In a source that names no patients, those of the
    DICOM headers become the groups, as a hash: the manifest names nobody.

    Raises:
        PrepareError: pydicom is missing, or a file is no colour photograph in DICOM.
    """
    count = sum(_is_dicom(record) for source in read for record in source.records)
    if not count:
        return read
    with tqdm(desc="converting DICOM", total=count, unit="image") as progress:
        return [
            dataclasses.replace(
                source,
                records=[
                    _converted(record, folder, progress) if _is_dicom(record) else record
                    for record in source.records
                ],
            )
            for source in read
        ]


def _is_dicom(record: Record) -> bool:
    return record.path is not None and record.path.suffix.lower() == SUFFIX


def _converted(record: Record, folder: Path, progress: tqdm) -> Record:
    assert record.path is not None
    dataset = _read(record.path)
    png = folder / record.source / f"{record.image}.png"
    if not png.exists():
        png.parent.mkdir(parents=True, exist_ok=True)
        partial = png.with_suffix(".partial")
        Image.fromarray(_pixels(record.path, dataset)).save(partial, "PNG")
        partial.replace(png)
    patient = str(dataset.get("PatientID") or "")
    group = record.group
    if record.source == "folders" and patient:
        group = f"folders:patient-{hashlib.sha256(patient.encode()).hexdigest()[:16]}"
    progress.update()
    return dataclasses.replace(record, path=png, group=group)


def _read(path: Path) -> Any:
    try:
        import pydicom
    except ModuleNotFoundError as error:
        raise PrepareError(
            f"{path}: to read DICOM, install pydicom: pip install pydicom"
        ) from error
    try:
        return pydicom.dcmread(path)
    except (pydicom.errors.InvalidDicomError, OSError) as error:
        raise PrepareError(f"{path}: expected a DICOM file: {error}") from error


def _pixels(path: Path, dataset: Any) -> np.ndarray:
    """The first frame, uint8 (height, width, 3)."""
    from pydicom.pixels import pixel_array

    if dataset.get("SamplesPerPixel") != 3:
        raise PrepareError(
            f"{path}: expected a colour photograph of three samples a pixel, got "
            f"{dataset.get('SamplesPerPixel')} ({dataset.get('PhotometricInterpretation')})"
        )
    try:
        frame = pixel_array(dataset, index=0)  # YBR becomes RGB
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        raise PrepareError(f"{path}: cannot be decoded: {str(error).splitlines()[0]}") from error
    largest = 2 ** int(dataset.BitsStored) - 1
    return np.round(frame.astype(np.float32) * (255 / largest)).astype(np.uint8)
