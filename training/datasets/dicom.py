"""Convert DICOM photographs to PNG, leaving out the header that names the patient.

The package pydicom is optional. It is imported only when a DICOM file is found.
"""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from lens.photo_files import DICOM, NO_IMAGE, content_of
from training.datasets.records import PrepareError, Record, Source


def convert_dicom(sources: list[Source], folder: Path) -> list[Source]:
    """Convert every DICOM file of the sources to a PNG in ``folder``; return the changed sources.

    A PNG of the same file is kept. Images that are a group of their own are grouped by the patient
    id in the DICOM header. The manifest contains its SHA-256, so it does not show the id, but
    somebody who has a list of possible ids can find out which of them it is.

    Raises:
        PrepareError: pydicom is missing, or a file is damaged or not a DICOM colour photograph.
    """
    count = sum(_is_dicom(record) for source in sources for record in source.records)
    if not count:
        return sources
    with tqdm(desc="converting DICOM", total=count, unit="image") as progress:
        return [
            dataclasses.replace(
                source,
                records=[
                    _convert_record(record, folder, progress) if _is_dicom(record) else record
                    for record in source.records
                ],
            )
            for source in sources
        ]


def _is_dicom(record: Record) -> bool:
    if record.path is None:
        return False
    content = content_of(record.path)
    # A .dcm file whose content is no image counts too, so that _read reports it as damaged.
    return content == DICOM or (content == NO_IMAGE and record.path.suffix.lower() == ".dcm")


def _convert_record(record: Record, folder: Path, progress: tqdm) -> Record:
    assert record.path is not None
    dataset = _read(record.path)
    digest = hashlib.sha256(record.path.read_bytes()).hexdigest()[:12]
    png = folder / record.source / f"{record.image}.{digest}.png"
    if not png.exists():
        png.parent.mkdir(parents=True, exist_ok=True)
        partial = png.with_suffix(".partial")
        Image.fromarray(_pixels(record.path, dataset)).save(partial, "PNG")
        partial.replace(png)
    patient = str(dataset.get("PatientID") or "")
    group = record.group
    if group == f"{record.source}:{record.image}" and patient:
        group = f"{record.source}:patient-{hashlib.sha256(patient.encode()).hexdigest()[:16]}"
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
    from pydicom.pixels.utils import pixel_array

    if dataset.get("SamplesPerPixel") != 3:
        raise PrepareError(
            f"{path}: expected a colour photograph with three samples per pixel, got "
            f"{dataset.get('SamplesPerPixel')} ({dataset.get('PhotometricInterpretation')})"
        )
    try:
        frame = pixel_array(dataset, index=0)  # YBR becomes RGB
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        raise PrepareError(f"{path}: cannot be decoded: {str(error).splitlines()[0]}") from error
    largest = 2 ** int(dataset.BitsStored) - 1
    return np.round(frame.astype(np.float32) * (255 / largest)).astype(np.uint8)
