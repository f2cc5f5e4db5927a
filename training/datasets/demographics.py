"""Age, sex and skin tone of the patients, and the site of the lesion, from the sets' tables."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from training.datasets.manifest import Row


@dataclass(frozen=True)
class _Table:
    """Names of a set's table and of its columns; few sets record the skin tone."""

    names: tuple[str, ...]
    image: str
    age: str
    sex: str
    site: str
    skin: str = ""


_TABLES = {
    "ham10000": _Table(
        ("HAM10000_metadata.csv", "HAM10000_metadata"), "image_id", "age", "sex", "localization"
    ),
    "isic2019": _Table(
        ("ISIC_2019_Training_Metadata.csv",), "image", "age_approx", "sex", "anatom_site_general"
    ),
    "siim2020": _Table(
        ("train.csv",), "image_name", "age_approx", "sex", "anatom_site_general_challenge"
    ),
    "pad_ufes": _Table(("metadata.csv",), "img_id", "age", "gender", "region", "fitspatrick"),
    "isic_archive": _Table(
        ("metadata.csv",),
        "isic_id",
        "age_approx",
        "sex",
        "anatom_site_general",
        "fitzpatrick_skin_type",
    ),
}
_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"}
_FOLDERS_UP = 3  # The published archives keep their images at most this deep below the table.


def describe_patients(rows: list[Row]) -> list[dict[str, str]]:
    """What the sets' own tables say of each image's patient.

    Returns:
        For each row, those of ``age`` ("under 40", "40 to 59", "60 and over"), ``sex`` ("female",
        "male"), ``site`` (in the set's own words) and ``skin tone`` ("Fitzpatrick I-II", "III-IV",
        "V-VI") that are recorded; nothing where no table stands beside the images.
    """
    known: dict[Path, dict[str, dict[str, str]]] = {}
    described = []
    for row in rows:
        path = Path(row.path)
        table = _find(path, row.source)
        if table and table not in known:
            known[table] = _read(table, _TABLES[row.source])
        described.append(known[table].get(path.stem, {}) if table else {})
    return described


def _find(image: Path, source: str) -> Path | None:
    names = _TABLES[source].names if source in _TABLES else ()
    tables = (folder / name for folder in image.parents[:_FOLDERS_UP] for name in names)
    return next((table for table in tables if table.is_file()), None)


def _read(path: Path, table: _Table) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return {
            Path(record.get(table.image) or "").stem: _describe(record, table)
            for record in csv.DictReader(file)
        }


def _describe(record: dict[str, str], table: _Table) -> dict[str, str]:
    skin = record.get(table.skin) or ""
    described = {
        "age": _band(record.get(table.age), ((40, "under 40"), (60, "40 to 59")), "60 and over"),
        "sex": (record.get(table.sex) or "").lower(),
        "site": (record.get(table.site) or "").lower(),
        "skin tone": _band(
            _ROMAN.get(skin, skin),
            ((3, "Fitzpatrick I-II"), (5, "Fitzpatrick III-IV")),
            "Fitzpatrick V-VI",
        ),
    }
    return {name: value for name, value in described.items() if value not in ("", "unknown")}


def _band(text: str | None, ends: tuple[tuple[int, str], ...], last: str) -> str:
    try:
        number = float(text or "nan")
    except ValueError:
        return ""
    if not math.isfinite(number):  # As pandas writes what is not known.
        return ""
    return next((name for end, name in ends if number < end), last)
