"""Read the published data sets: their images, with labels and groups.

Each reader takes the folder of a set. It raises ``PrepareError`` if a table is missing or contains
an unexpected value, or if the folder has none of the listed images.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from training.datasets.diagnoses import (
    ARCHIVE_CLASSES,
    ARCHIVE_DIAGNOSES,
    ARCHIVE_IMAGE_TYPES,
    HAM10000_DIAGNOSES,
    ISIC2018_DIAGNOSES,
    ISIC2019_DIAGNOSES,
    MALIGNANT,
    MILK10K_DIAGNOSES,
    MILK10K_KINDS,
    MILK10K_MALIGNANT,
    PAD_UFES_DIAGNOSES,
    SIIM2020_DIAGNOSES,
)
from training.datasets.manifest import CLINICAL, DERMOSCOPIC
from training.datasets.photos import Folder, index_by_name, open_folder, without_suffix
from training.datasets.published_tables import (
    find_archive_table,
    find_optional_table,
    find_table,
    one_hot_class,
    read_rows,
    translate,
)
from training.datasets.records import PrepareError, Record, Source

UNLISTED = "not in its table"
"""Why a file that the set's table does not list is ignored."""


def read_ham10000(path: Path) -> Source:
    """Read HAM10000, grouped by lesion, from its own table or those of the ISIC 2018 challenge."""
    folder = open_folder(path)
    table = find_optional_table(folder, "HAM10000_metadata")
    if table is None:
        if truth := find_optional_table(folder, "ISIC2018_Task3_Training_GroundTruth"):
            return _isic2018(folder, truth)
        table = find_table(folder, "HAM10000_metadata")
    records = []
    for row in read_rows(table, "image_id", "lesion_id", "dx"):
        name = row["image_id"]
        diagnosis = translate(table, name, "diagnosis", row["dx"], HAM10000_DIAGNOSES)
        group = f"ham10000:{row['lesion_id'] or name}"
        records.append(_new_record("ham10000", name, diagnosis, group, DERMOSCOPIC))
    return _build_source("ham10000", folder, records, [table])


def _isic2018(folder: Folder, truth: Path) -> Source:
    lesions = find_table(folder, "ISIC2018_Task3_Training_LesionGroupings")
    groups = {row["image"]: row["lesion_id"] for row in read_rows(lesions, "image", "lesion_id")}
    records = []
    for row in read_rows(truth, "image", *ISIC2018_DIAGNOSES):
        name = row["image"]
        diagnosis = ISIC2018_DIAGNOSES[one_hot_class(truth, name, row, ISIC2018_DIAGNOSES)]
        group = f"ham10000:{groups.get(name) or name}"
        records.append(_new_record("ham10000", name, diagnosis, group, DERMOSCOPIC))
    return _build_source("ham10000", folder, records, [truth, lesions])


def read_isic2019(path: Path) -> Source:
    """Read ISIC 2019, grouped by lesion if the metadata contains it, otherwise by image."""
    folder = open_folder(path)
    metadata = find_table(folder, "ISIC_2019_Training_Metadata")
    lesions = {row["image"]: row["lesion_id"] for row in read_rows(metadata, "image", "lesion_id")}
    table = find_table(folder, "ISIC_2019_Training_GroundTruth")
    records = []
    for row in read_rows(table, "image", *ISIC2019_DIAGNOSES):
        name = row["image"]
        diagnosis = ISIC2019_DIAGNOSES[one_hot_class(table, name, row, ISIC2019_DIAGNOSES)]
        lesion = lesions.get(name) or name
        # ISIC 2019 contains HAM10000, and keeps the names of its lesions.
        owner = "ham10000" if lesion.startswith("HAM_") else "isic2019"
        records.append(_new_record("isic2019", name, diagnosis, f"{owner}:{lesion}", DERMOSCOPIC))
    return _build_source("isic2019", folder, records, [table, metadata])


def read_siim2020(path: Path) -> Source:
    """Read SIIM-ISIC 2020, grouped by patient, from Kaggle's table or the ISIC Archive's."""
    folder = open_folder(path)
    table = find_table(
        folder,
        "train",
        "ISIC_2020_Training_GroundTruth_v2",
        "ISIC_2020_Training_GroundTruth",
    )
    records = []
    for row in read_rows(table, "image_name", "patient_id", "diagnosis", "target"):
        name = row["image_name"]
        diagnosis = translate(table, name, "diagnosis", row["diagnosis"], SIIM2020_DIAGNOSES)
        if row["target"] != str(int(diagnosis == "melanoma")):
            raise PrepareError(
                f"{table}: {name}: expected target 1 for melanoma and 0 for all others, "
                f"got target {row['target']!r} with diagnosis {row['diagnosis']!r}"
            )
        group = f"siim2020:{row['patient_id'] or name}"
        records.append(_new_record("siim2020", name, diagnosis, group, DERMOSCOPIC))
    # The ISIC Archive's download has this table; Kaggle's does not.
    pairs = find_optional_table(folder, "ISIC_2020_Training_Duplicates")
    tables = [table, pairs] if pairs else [table]
    return _build_source("siim2020", folder, records, tables, duplicates=_read_duplicates(pairs))


def _read_duplicates(table: Path | None) -> tuple[tuple[str, str], ...]:
    if table is None:
        return ()
    pairs = read_rows(table, "image_name_1", "image_name_2")
    return tuple((row["image_name_1"], row["image_name_2"]) for row in pairs)


def read_pad_ufes(path: Path) -> Source:
    """Read PAD-UFES-20, smartphone photos grouped by patient, from ``metadata.csv``."""
    folder = open_folder(path)
    table = find_table(folder, "metadata")
    records = []
    for row in read_rows(table, "img_id", "patient_id", "diagnostic"):
        name = without_suffix(row["img_id"])
        diagnosis = translate(table, name, "diagnosis", row["diagnostic"], PAD_UFES_DIAGNOSES)
        group = f"pad_ufes:{row['patient_id'] or name}"
        records.append(_new_record("pad_ufes", name, diagnosis, group, CLINICAL))
    return _build_source("pad_ufes", folder, records, [table])


def read_milk10k(path: Path) -> Source:
    """Read MILK10k (ISIC 2025), grouped by lesion; each has a clinical and a dermoscopic photo."""
    folder = open_folder(path)
    table = find_table(folder, "MILK10k_Training_GroundTruth")
    classes = {
        row["lesion_id"]: one_hot_class(table, row["lesion_id"], row, MILK10K_DIAGNOSES)
        for row in read_rows(table, "lesion_id", *MILK10K_DIAGNOSES)
    }
    metadata = find_table(folder, "MILK10k_Training_Metadata")
    records = []
    for row in read_rows(metadata, "lesion_id", "isic_id", "image_type"):
        name, lesion = row["isic_id"], row["lesion_id"]
        if lesion not in classes:
            raise PrepareError(
                f"{metadata}: {name}: lesion {lesion!r}; expected one listed in {table.name}"
            )
        kind = translate(metadata, name, "image_type", row["image_type"], MILK10K_KINDS)
        diagnosis = MILK10K_DIAGNOSES[classes[lesion]]
        malignant = int(classes[lesion] in MILK10K_MALIGNANT)
        records.append(
            Record("milk10k", name, diagnosis, malignant, f"milk10k:{lesion}", kind, None)
        )
    return _build_source("milk10k", folder, records, [table, metadata])


def read_isic_archive(path: Path) -> Source:
    """Read any download of the ISIC Archive, grouped by patient, otherwise by lesion or image.

    Images that do not show a single lesion, or have no definite diagnosis, are left out.
    """
    folder = open_folder(path)
    table = find_archive_table(folder)
    records = []
    left_out: dict[str, list[str]] = defaultdict(list)
    # The client omits a column in which no image of the download has a value.
    for row in read_rows(table, "isic_id", "diagnosis_1"):
        label = _archive_diagnosis(table, row)
        if row.get("image_type", "") not in ARCHIVE_IMAGE_TYPES:
            left_out["not a picture of one lesion"].append(row["isic_id"])
        elif label is None:
            left_out["no definite diagnosis"].append(row["isic_id"])
        else:
            group = _archive_group(row)
            # Images without a type are from the time when the archive contained only dermoscopy.
            kind = DERMOSCOPIC if row.get("image_type") in (None, "", "dermoscopic") else CLINICAL
            records.append(Record("isic_archive", row["isic_id"], *label, group, kind, None))
    return _build_source("isic_archive", folder, records, [table], left_out=left_out)


def _archive_diagnosis(table: Path, row: dict[str, str]) -> tuple[str, int] | None:
    """The diagnosis and the label, 0 or 1; None if there is no definite diagnosis."""
    levels = [row.get(f"diagnosis_{level}") or "" for level in (1, 2, 3)]
    if levels[0] not in (*ARCHIVE_CLASSES, "Indeterminate", ""):
        raise PrepareError(
            f"{table}: {row['isic_id']}: diagnosis_1 {levels[0]!r}; expected Benign, Malignant, "
            "Indeterminate or nothing"
        )
    for prefix, diagnosis in ARCHIVE_DIAGNOSES.items():
        if any(level.startswith(prefix) for level in levels[1:]):
            return diagnosis, int(diagnosis in MALIGNANT)
    malignant = ARCHIVE_CLASSES.get(levels[0])
    return None if malignant is None else ("unknown", malignant)


def _archive_group(row: dict[str, str]) -> str:
    if patient := row.get("patient_id"):
        # SIIM-ISIC 2020 uses the archive's patient ids.
        return f"siim2020:{patient}"
    return f"isic_archive:{row.get('lesion_id') or row['isic_id']}"


def _new_record(source: str, name: str, diagnosis: str, group: str, kind: str) -> Record:
    return Record(source, name, diagnosis, int(diagnosis in MALIGNANT), group, kind, None)


def _build_source(
    name: str,
    folder: Folder,
    records: list[Record],
    tables: list[Path],
    duplicates: tuple[tuple[str, str], ...] = (),
    left_out: dict[str, list[str]] | None = None,
) -> Source:
    """Build the source, adding the file of each record.

    Raises:
        PrepareError: the table lists an image twice, or the folder has none of its images.
    """
    left_out = left_out or {}
    listed = [record.image for record in records]
    _require_listed_once(tables[0], listed)
    files, dropped = index_by_name(folder)
    with_files = [replace(record, path=files.get(record.image)) for record in records]
    if not files.keys() & set(listed):
        raise PrepareError(
            f"{folder.path}: expected {name} images in it or its subfolders, found none of the "
            f"{len(records):,} images that its table lists"
        )
    known = {*listed, *(image for images in left_out.values() for image in images)}
    unlisted = [str(file.name) for image, file in files.items() if image not in known]
    others = [path.name for path in folder.others if path not in tables]
    ignored = {**folder.ignored, **dropped, UNLISTED: unlisted, "not an image": others}
    return Source(
        name,
        sorted(with_files, key=lambda record: record.image),
        tuple(path.relative_to(folder.path).as_posix() for path in tables),
        duplicates,
        left_out,
        {reason: names for reason, names in ignored.items() if names},
    )


def _require_listed_once(table: Path, images: Iterable[str]) -> None:
    twice = [image for image, count in Counter(images).items() if count > 1]
    if twice:
        raise PrepareError(
            f"{table}: expected each image once, found {len(twice):,} twice: {', '.join(twice[:3])}"
        )
