"""Read the manifest: the CSV file, with one row per image, that ``training.prepare`` writes."""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from lens.card import PHOTO_KINDS
from training.cli import CommandError

COLUMNS = ("path", "source", "kind", "diagnosis", "malignant", "group", "split")
REQUIRED_COLUMNS = tuple(name for name in COLUMNS if name != "kind")
"""Columns that every manifest has; older manifests have no column ``kind``."""

SPLITS = ("train", "val", "test")

CLINICAL, DERMOSCOPIC = KINDS = PHOTO_KINDS
"""Kinds of photo: taken with only a camera or phone, or through a dermatoscope."""

_DERMOSCOPIC_SOURCES = frozenset({"ham10000", "isic2019", "siim2020"})
"""In a manifest without the column ``kind``, photos from these sources count as dermoscopic."""


class ManifestError(CommandError):
    """The manifest, or an image that it lists, cannot be used; the message says why."""


@dataclass(frozen=True)
class Row:
    """One image of the manifest.

    Attributes:
        malignant: 0 or 1.
        split: train, val or test.
        kind: clinical or dermoscopic; if empty, the kind that the source had in older manifests.
    """

    path: str
    source: str
    diagnosis: str
    malignant: int
    group: str
    split: str
    kind: str = ""

    def __post_init__(self) -> None:
        if not self.kind:
            kind = DERMOSCOPIC if self.source in _DERMOSCOPIC_SOURCES else CLINICAL
            object.__setattr__(self, "kind", kind)


def read_manifest(path: str | Path) -> list[Row]:
    """Read a manifest that ``training.prepare`` wrote.

    Relative image paths are relative to the manifest's folder.

    Raises:
        ManifestError: the file or a column is missing, or a value is not allowed.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(
            f"{path}: no such manifest.\n"
            "Get a public set (README, 'Train your own') and run: "
            "python -m training.prepare --ham10000 DIR --out data"
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            if missing := set(REQUIRED_COLUMNS) - set(table.fieldnames or ()):
                raise ManifestError(
                    f"{path}: expected the columns {','.join(COLUMNS)}; "
                    f"missing {','.join(sorted(missing))}"
                )
            return [_row(path, line, values) for line, values in enumerate(table, start=2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}: expected a CSV table in UTF-8: {error}") from error


def read_not_lesion(manifest: Path) -> list[Row]:
    """Read ``not_lesion.csv`` beside a manifest; no rows if there is no such file."""
    path = manifest.with_name("not_lesion.csv")
    return read_manifest(path) if path.exists() else []


def _row(path: Path, line: int, values: dict[str, str]) -> Row:
    if None in values.values():
        raise ManifestError(f"{path}, line {line}: expected {len(values)} values, found fewer")
    if values["malignant"] not in ("0", "1") or values["split"] not in SPLITS:
        raise ManifestError(
            f"{path}, line {line}: expected malignant 0 or 1 and split train, val or test, "
            f"got {values['malignant']!r} and {values['split']!r}"
        )
    kind = values.get("kind", "")
    if "kind" in values and kind not in KINDS:
        expected = " or ".join(KINDS)
        raise ManifestError(f"{path}, line {line}: expected kind {expected}, got {kind!r}")
    return Row(
        path=str(path.parent / values["path"]),
        source=values["source"],
        diagnosis=values["diagnosis"],
        malignant=int(values["malignant"]),
        group=values["group"],
        split=values["split"],
        kind=kind,
    )


def split_hashes(rows: list[Row]) -> dict[str, str]:
    """The ``split_hash`` of each split."""
    return {split: split_hash([row for row in rows if row.split == split]) for split in SPLITS}


def split_hash(rows: list[Row]) -> str:
    """SHA-256 of the rows' sorted file names, to check whether two runs used the same images."""
    names = "\n".join(sorted(Path(row.path).name for row in rows))
    return hashlib.sha256(names.encode()).hexdigest()
