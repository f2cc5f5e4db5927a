"""Read folders without a table: benign and malignant photos, or photos without a lesion."""

import re
import unicodedata
from dataclasses import replace
from pathlib import Path

from training.datasets.manifest import CLINICAL, DERMOSCOPIC
from training.datasets.photos import Folder, open_folder
from training.datasets.records import PrepareError, Record, Source

CLASSES = {"benign": 0, "malignant": 1}

# File names in the Monkeypox Skin Lesion Dataset: patient and photo number, such as NM78_01.
_PATIENT_AND_NUMBER = re.compile(r"(\bN?M\d+)_\d\d$")


def read_folders(path: Path, kind: str) -> Source:
    """Read photos in folders ``benign`` and ``malignant``, at any depth; each photo is a group.

    The source is named after the folder.

    Args:
        path: the folder.
        kind: the kind of all its photos, clinical or dermoscopic.

    Raises:
        PrepareError: the folder or a class is missing, or cannot be read.
    """
    folder = open_folder(path)
    source = path.resolve().name
    records, outside = [], []
    for file in folder.photos:
        name = file.relative_to(path).as_posix()
        malignant = _class_of(file.relative_to(path).parent)
        if malignant is None:
            outside.append(name)
        else:
            records.append(
                Record(source, name, "unknown", malignant, f"{source}:{name}", kind, file)
            )
    _require_classes(folder, records)
    unlabelled = {"in neither a benign nor a malignant folder": outside} if outside else {}
    return Source(source, records, ignored=_ignored_files(folder) | unlabelled)


def _class_of(folder: Path) -> int | None:
    """The label of the innermost folder named after a class, in any case and character width."""
    for part in reversed(folder.parts):
        name = unicodedata.normalize("NFKC", part).strip().casefold()
        if name in CLASSES:
            return CLASSES[name]
    return None


def _require_classes(folder: Folder, records: list[Record]) -> None:
    classes = {record.malignant for record in records}
    if missing := [name for name, malignant in CLASSES.items() if malignant not in classes]:
        seen = sorted({f"{path.parent.name}/" for path in folder.photos})
        shown = ", ".join(map(repr, seen[:5])) + (" and more" if len(seen) > 5 else "")
        raise PrepareError(
            f"{folder.path}: expected images in folders named benign and malignant, found no "
            f"{'/ and no '.join(missing)}/ with images; there are images in {shown or 'no folder'}"
        )


def _ignored_files(folder: Folder) -> dict[str, list[str]]:
    others = [path.relative_to(folder.path).as_posix() for path in folder.others]
    return folder.ignored | ({"not an image": others} if others else {})


def read_melanoma10k(path: Path) -> Source:
    """Read the set of 10,000 melanoma images: every lesion in its ``malignant/`` is a melanoma.

    Raises:
        PrepareError: the folder or a class is missing, or cannot be read.
    """
    source = read_folders(path, DERMOSCOPIC)
    records = [
        replace(
            record,
            source="melanoma10k",
            group=f"melanoma10k:{record.image}",
            diagnosis="melanoma" if record.malignant else "unknown",
        )
        for record in source.records
    ]
    return replace(source, name="melanoma10k", records=records)


def read_not_lesion(path: Path) -> Source:
    """Read photos without a lesion, grouped by patient if the file names contain a patient number.

    The source is named after the folder.

    Raises:
        PrepareError: the folder is missing, cannot be read, or has no photos.
    """
    folder = open_folder(path)
    source = path.resolve().name
    records = []
    for file in folder.photos:
        name = file.relative_to(path).with_suffix("").as_posix()
        group = f"{source}:" + _PATIENT_AND_NUMBER.sub(r"\1", name)
        records.append(Record(source, name, "not_lesion", 0, group, CLINICAL, file))
    if not records:
        raise PrepareError(f"{path}: expected {source} images in it or its subfolders, found none")
    return Source(source, records, ignored=_ignored_files(folder))
