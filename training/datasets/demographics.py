"""Look up patients' age, sex and skin tone, and the lesion's site, in the published tables."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from training.datasets.manifest import ManifestError, Row
from training.datasets.photos import without_suffix
from training.datasets.published_tables import SUFFIXES, read_rows
from training.datasets.records import PrepareError


@dataclass(frozen=True)
class _Table:
    """The possible names of a set's table, without suffix, and its columns. Few have skin tone."""

    names: tuple[str, ...]
    image: str
    age: str
    sex: str
    site: str
    skin: str = ""


_TABLES = {
    "ham10000": _Table(("HAM10000_metadata",), "image_id", "age", "sex", "localization"),
    "isic2019": _Table(
        ("ISIC_2019_Training_Metadata",), "image", "age_approx", "sex", "anatom_site_general"
    ),
    "siim2020": _Table(
        ("train", "ISIC_2020_Training_GroundTruth_v2", "ISIC_2020_Training_GroundTruth"),
        "image_name",
        "age_approx",
        "sex",
        "anatom_site_general_challenge",
    ),
    "pad_ufes": _Table(("metadata",), "img_id", "age", "gender", "region", "fitspatrick"),
    "milk10k": _Table(
        ("MILK10k_Training_Metadata",), "isic_id", "age_approx", "sex", "site", "skin_tone_class"
    ),
    "isic_archive": _Table(
        ("metadata",),
        "isic_id",
        "age_approx",
        "sex",
        "anatom_site_general",
        "fitzpatrick_skin_type",
    ),
}
# Bands of a number: pairs of an upper limit (exclusive) and a name, then the name of the last band.
_AGES = (((40, "under 40"), (60, "40 to 59")), "60 and over")
_FITZPATRICK = (
    ((3, "Fitzpatrick I-II"), (5, "Fitzpatrick III-IV")),
    "Fitzpatrick V-VI",
)
# MILK10k has its own scale of skin tone, from 0 (darkest) to 5.
_MILK10K_TONES = (
    ((3, "MILK10k tone 0-2 (darkest)"), (4, "MILK10k tone 3")),
    "MILK10k tone 4-5 (lightest)",
)
_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"}
_REGIONS = {
    "hands and feet": r"hand|foot|acral|palm|sole|nail",
    "head and neck": r"head|neck|face|scalp|\bear\b|nose|lip",
    "trunk": r"trunk|torso|back|abdomen|chest|genital|buttock",
    "arm": r"upper|\barm|forearm|shoulder",
    "leg": r"lower|thigh|\bleg|knee",
}
"""Region of the body, with a pattern of the words that the sets use for its sites. The first match
counts."""
_FOLDERS_SEARCHED = 3  # In published layouts, the table is in the image's folder or up to 2 above.


def describe_patients(rows: Iterable[Row]) -> list[dict[str, str]]:
    """Look up each image's patient in the tables that the data sets publish.

    Returns:
        A dict for each row, with the traits that its table records: ``age`` ("under 40",
        "40 to 59", "60 and over"), ``sex`` ("female", "male"), ``site`` (in the set's own words),
        ``region`` (of the body, from ``_REGIONS``) and ``skin tone`` ("Fitzpatrick I-II",
        "Fitzpatrick III-IV", "Fitzpatrick V-VI", or MILK10k's own scale). The dict is empty if no
        table is found, or if the table does not list the image.

    Raises:
        ManifestError: a table cannot be read.
    """
    tables: dict[Path, dict[str, dict[str, str]]] = {}
    described = []
    for row in rows:
        path = Path(row.path)
        table = _find(path, row.source)
        if table and table not in tables:
            tables[table] = _read(table, row.source)
        described.append(tables[table].get(path.stem, {}) if table else {})
    return described


def _find(image: Path, source: str) -> Path | None:
    names = _TABLES[source].names if source in _TABLES else ()
    tables = (
        folder / f"{name}{suffix}"
        for folder in image.parents[:_FOLDERS_SEARCHED]
        for name in names
        for suffix in SUFFIXES
    )
    return next((table for table in tables if table.is_file()), None)


def _read(path: Path, source: str) -> dict[str, dict[str, str]]:
    table = _TABLES[source]
    tones = _MILK10K_TONES if source == "milk10k" else _FITZPATRICK
    try:
        return {
            without_suffix(record.get(table.image, "")): _describe(record, table, tones)
            for record in read_rows(path)
        }
    except PrepareError as error:
        raise ManifestError(str(error)) from error


def _describe(
    record: dict[str, str], table: _Table, tones: tuple[tuple[tuple[int, str], ...], str]
) -> dict[str, str]:
    skin = record.get(table.skin, "")
    site = record.get(table.site, "").lower()
    described = {
        "age": _band(record.get(table.age), *_AGES),
        "sex": record.get(table.sex, "").lower(),
        "site": site,
        "region": next((name for name, words in _REGIONS.items() if re.search(words, site)), ""),
        "skin tone": _band(_ROMAN.get(skin, skin), *tones),
    }
    return {name: value for name, value in described.items() if value not in ("", "unknown")}


def _band(text: str | None, ends: tuple[tuple[int, str], ...], last: str) -> str:
    try:
        number = float(text or "nan")
    except ValueError:
        return ""
    if not math.isfinite(number):  # pandas writes "nan" for an unknown value.
        return ""
    return next((name for end, name in ends if number < end), last)
