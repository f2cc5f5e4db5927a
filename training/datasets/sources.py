"""Readers of the published data sets: a folder in, its images with their labels and groups out."""

import csv
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from training.cli import CommandError

MALIGNANT = frozenset({"melanoma", "bcc", "akiec", "scc"})
"""``akiec``, actinic keratosis and Bowen's disease, counts as malignant in every source."""

DERMOSCOPY = ("ham10000", "isic2019", "siim2020")
"""Sources of dermoscopy images alone; the others have photos of other cameras."""

HAM10000_DIAGNOSES = {
    "nv": "nevus",
    "mel": "melanoma",
    "bcc": "bcc",
    "akiec": "akiec",
    "bkl": "bkl",
    "df": "df",
    "vasc": "vasc",
}
ISIC2019_DIAGNOSES = {
    "NV": "nevus",
    "MEL": "melanoma",
    "BCC": "bcc",
    "AK": "akiec",
    "SCC": "scc",
    "BKL": "bkl",
    "DF": "df",
    "VASC": "vasc",
}
PAD_UFES_DIAGNOSES = {
    "NEV": "nevus",
    "MEL": "melanoma",
    "BCC": "bcc",
    "ACK": "akiec",
    "SCC": "scc",
    "SEK": "bkl",
}
# Lentigines and the keratoses are ISIC 2019's BKL, the reading of the SIIM challenge's winners
# (arXiv:2010.05351); the two single lesions at the end fit no class.
SIIM2020_DIAGNOSES = {
    "nevus": "nevus",
    "melanoma": "melanoma",
    "seborrheic keratosis": "bkl",
    "lichenoid keratosis": "bkl",
    "solar lentigo": "bkl",
    "lentigo NOS": "bkl",
    "unknown": "unknown",
    "cafe-au-lait macule": "unknown",
    "atypical melanocytic proliferation": "unknown",
}

# The ISIC Archive's own words (package isic-metadata 4.12): beginnings of its second level of
# diagnosis, then of its third. What is decided but not listed keeps its class as "unknown".
ARCHIVE_DIAGNOSES = {
    "Malignant melanocytic proliferations": "melanoma",
    "Basal cell carcinoma": "bcc",
    "Squamous cell carcinoma in situ": "akiec",
    "Squamous cell carcinoma": "scc",
    "Solar or actinic keratosis": "akiec",
    "Nevus": "nevus",
    "Seborrheic keratosis": "bkl",
    "Lichen planus like keratosis": "bkl",
    "Pigmented benign keratosis": "bkl",
    "Solar lentigo": "bkl",
    "Lentigo NOS": "bkl",
    "Dermatofibroma": "df",
    "Benign soft tissue proliferations - Vascular": "vasc",
    "Hemorrhagic lesions": "vasc",
}
ARCHIVE_CLASSES = {"Benign": 0, "Malignant": 1}
"""Its first level of diagnosis; ``Indeterminate`` decides nothing."""
ARCHIVE_IMAGE_TYPES = frozenset({"", "dermoscopic", "clinical: close-up", "TBP tile: close-up"})
"""Pictures of one lesion; its others are overviews and microscopy."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif", ".dcm"})


class PrepareError(CommandError):
    """Input that cannot be prepared; the message is one line: what it is, what was expected."""


@dataclass(frozen=True)
class Record:
    """One listed image.

    Attributes:
        image: the set's own name of the image, without suffix; unique in its source.
        malignant: 0 or 1.
        group: lesion or patient, prefixed with the source; the unit that is never split.
        path: its file, or None where the folder lacks it.
    """

    source: str
    image: str
    diagnosis: str
    malignant: int
    group: str
    path: Path | None


@dataclass(frozen=True)
class Source:
    """One data set as read.

    Attributes:
        records: every image of its table, in the order of their names.
        unlisted: number of image files in the folder that the table does not name.
        duplicates: pairs of image names that the publishers list as the same picture.
        left_out: number of listed images that teach nothing, by the reason.
    """

    name: str
    records: list[Record]
    unlisted: int = 0
    duplicates: tuple[tuple[str, str], ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)


def read_ham10000(folder: Path) -> Source:
    """HAM10000: ``HAM10000_metadata.csv`` (no suffix in its first home); grouped by lesion."""
    table = _find(folder, "HAM10000_metadata.csv", "HAM10000_metadata")
    records = []
    images = _images_by_name(folder)
    for row in _rows(table, "image_id", "lesion_id", "dx"):
        diagnosis = _translate(table, row["image_id"], row["dx"], HAM10000_DIAGNOSES)
        group = f"ham10000:{row['lesion_id'] or row['image_id']}"
        records.append(_record("ham10000", row["image_id"], diagnosis, group, images))
    return _source("ham10000", folder, records, images)


def read_isic2019(folder: Path) -> Source:
    """ISIC 2019: ground truth one-hot, lesions in the metadata; grouped by lesion, else image."""
    metadata = _find(folder, "ISIC_2019_Training_Metadata.csv")
    lesions = {row["image"]: row["lesion_id"] for row in _rows(metadata, "image", "lesion_id")}
    table = _find(folder, "ISIC_2019_Training_GroundTruth.csv")
    images = _images_by_name(folder)
    records = []
    for row in _rows(table, "image", *ISIC2019_DIAGNOSES):
        name = row["image"]
        diagnosis = _one_hot(table, name, row)
        lesion = lesions.get(name) or name
        # HAM10000 is part of ISIC 2019 and its lesions keep their names there.
        owner = "ham10000" if lesion.startswith("HAM_") else "isic2019"
        records.append(_record("isic2019", name, diagnosis, f"{owner}:{lesion}", images))
    return _source("isic2019", folder, records, images)


def read_siim2020(folder: Path) -> Source:
    """SIIM-ISIC 2020: ``train.csv`` and, where present, the table of duplicates; by patient."""
    table = _find(folder, "train.csv")
    images = _images_by_name(folder)
    records = []
    for row in _rows(table, "image_name", "patient_id", "diagnosis", "target"):
        name = row["image_name"]
        diagnosis = _translate(table, name, row["diagnosis"], SIIM2020_DIAGNOSES)
        if row["target"] != str(int(diagnosis == "melanoma")):
            raise PrepareError(
                f"{table}: {name}: expected target 1 for melanoma and 0 for all else, "
                f"got target {row['target']!r} with diagnosis {row['diagnosis']!r}"
            )
        group = f"siim2020:{row['patient_id'] or name}"
        records.append(_record("siim2020", name, diagnosis, group, images))
    return _source("siim2020", folder, records, images, _siim_duplicates(folder))


def read_pad_ufes(folder: Path) -> Source:
    """PAD-UFES-20: ``metadata.csv``; smartphone photos, grouped by patient."""
    table = _find(folder, "metadata.csv")
    images = _images_by_name(folder)
    records = []
    for row in _rows(table, "img_id", "patient_id", "diagnostic"):
        name = Path(row["img_id"]).stem
        diagnosis = _translate(table, name, row["diagnostic"], PAD_UFES_DIAGNOSES)
        records.append(
            _record("pad_ufes", name, diagnosis, f"pad_ufes:{row['patient_id'] or name}", images)
        )
    return _source("pad_ufes", folder, records, images)


def read_isic_archive(folder: Path) -> Source:
    """Any download of the ISIC Archive's client (isic-cli): ``metadata.csv``; by patient, lesion.

    Images that are not of one lesion, or whose diagnosis is open, are left out and counted.
    """
    table = _find(folder, "metadata.csv")
    images = _images_by_name(folder)
    records = []
    left_out: Counter[str] = Counter()
    # The client writes a column only where some image of the download has a value in it.
    for row in _rows(table, "isic_id", "diagnosis_1"):
        found = _archive_diagnosis(table, row)
        if (row.get("image_type") or "") not in ARCHIVE_IMAGE_TYPES:
            left_out["not a picture of one lesion"] += 1
        elif found is None:
            left_out["diagnosis open"] += 1
        else:
            name = row["isic_id"]
            group = _archive_group(row)
            records.append(Record("isic_archive", name, *found, group, images.get(name)))
    # An image left out is listed all the same.
    listed = {row["isic_id"] for row in _rows(table, "isic_id")}
    source = _source("isic_archive", folder, records, images)
    return replace(source, unlisted=len(images.keys() - listed), left_out=dict(left_out))


def _archive_diagnosis(table: Path, row: dict[str, str]) -> tuple[str, int] | None:
    """Diagnosis and malignant, or None where it is open."""
    levels = [row.get(f"diagnosis_{level}") or "" for level in (1, 2, 3)]
    if levels[0] not in (*ARCHIVE_CLASSES, "Indeterminate", ""):
        raise PrepareError(
            f"{table}: {row['isic_id']}: diagnosis_1 {levels[0]!r}; expected Benign, Malignant, "
            "Indeterminate or nothing"
        )
    for beginning, diagnosis in ARCHIVE_DIAGNOSES.items():
        if any(level.startswith(beginning) for level in levels[1:]):
            return diagnosis, int(diagnosis in MALIGNANT)
    malignant = ARCHIVE_CLASSES.get(levels[0])
    return None if malignant is None else ("unknown", malignant)


def _archive_group(row: dict[str, str]) -> str:
    if patient := row.get("patient_id"):
        # SIIM's patients bear the archive's names.
        return f"siim2020:{patient}"
    return f"isic_archive:{row.get('lesion_id') or row['isic_id']}"


def read_folders(folder: Path) -> Source:
    """Any folder with ``benign/`` and ``malignant/``; each file is its own group."""
    records = []
    for malignant, label in enumerate(("benign", "malignant")):
        if not (folder / label).is_dir():
            raise PrepareError(
                f"{folder}: expected the folders benign/ and malignant/, no {label}/"
            )
        for path in _images(folder / label):
            name = path.relative_to(folder).as_posix()
            records.append(Record("folders", name, "unknown", malignant, f"folders:{name}", path))
    return _source("folders", folder, records, {})


def read_not_lesion(folder: Path) -> Source:
    """Photographs of anything but a lesion, a source named as its folder; each its own group."""
    source, records = folder.resolve().name, []
    for path in _images(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        records.append(Record(source, name, "not_lesion", 0, f"{source}:{name}", path))
    return _source(source, folder, records, {})


def _record(source: str, name: str, diagnosis: str, group: str, images: dict[str, Path]) -> Record:
    malignant = int(diagnosis in MALIGNANT)
    return Record(source, name, diagnosis, malignant, group, images.get(name))


def _source(
    name: str,
    folder: Path,
    records: list[Record],
    images: dict[str, Path],
    duplicates: tuple[tuple[str, str], ...] = (),
) -> Source:
    if not any(record.path for record in records):
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        listed = f"none of the {len(records):,} images its table lists" if records else "none"
        raise PrepareError(
            f"{folder}: expected {name} images ({kinds}) in it or its sub-folders, found {listed}"
        )
    unlisted = len(images.keys() - {record.image for record in records})
    return Source(name, sorted(records, key=lambda record: record.image), unlisted, duplicates)


def _siim_duplicates(folder: Path) -> tuple[tuple[str, str], ...]:
    # The challenge's download lacks this table (the archive's has it), so it is optional.
    table = folder / "ISIC_2020_Training_Duplicates.csv"
    if not table.is_file():
        return ()
    rows = _rows(table, "image_name_1", "image_name_2")
    return tuple((row["image_name_1"], row["image_name_2"]) for row in rows)


def _find(folder: Path, *names: str) -> Path:
    if not folder.is_dir():
        raise PrepareError(f"{folder}: no such folder; expected one that holds {names[0]}")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise PrepareError(f"{folder}: expected {names[0]} in it, found none")


def _rows(table: Path, *columns: str) -> Iterator[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
                raise PrepareError(
                    f"{table}: expected the columns {', '.join(columns)}; "
                    f"missing {', '.join(missing)}"
                )
            for row in reader:
                if any(row[name] is None for name in columns):
                    raise PrepareError(
                        f"{table}, line {reader.line_num}: expected "
                        f"{len(reader.fieldnames or ())} values, found fewer"
                    )
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise PrepareError(f"{table}: expected a CSV table in UTF-8: {error}") from error


def _translate(table: Path, image: str, value: str, vocabulary: dict[str, str]) -> str:
    if value not in vocabulary:
        raise PrepareError(
            f"{table}: {image}: diagnosis {value!r}; expected one of {', '.join(vocabulary)}"
        )
    return vocabulary[value]


def _one_hot(table: Path, image: str, row: dict[str, str]) -> str:
    marked = [name for name in ISIC2019_DIAGNOSES if row[name] in ("1", "1.0")]
    if len(marked) != 1:
        raise PrepareError(
            f"{table}: {image}: expected a 1 in exactly one of {', '.join(ISIC2019_DIAGNOSES)}; "
            f"found {len(marked)}"
        )
    return ISIC2019_DIAGNOSES[marked[0]]


def _images_by_name(folder: Path) -> dict[str, Path]:
    # Backwards, so that of two files of one name the first in order of path stays.
    return {path.stem: path for path in reversed(_images(folder))}


def _images(folder: Path) -> list[Path]:
    """Image files anywhere under the folder, sorted; archives differ in their sub-folders."""
    if not folder.is_dir():
        raise PrepareError(f"{folder}: no such folder; expected one that holds images")
    # macOS archives carry a "._" shadow of each file.
    images = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    for path in images:
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            shown = os.fsencode(path).decode(errors="backslashreplace")
            raise PrepareError(f"{shown}: expected a file name in UTF-8; rename it") from error
    return images
