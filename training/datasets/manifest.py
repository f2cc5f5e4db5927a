"""Read the manifest, a CSV file with one row per image that ``training.prepare`` writes."""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from training.cli import CommandError

HEADER = ("path", "source", "kind", "diagnosis", "malignant", "group", "split")
COLUMNS = tuple(name for name in HEADER if name != "kind")
"""Columns that a manifest must have; older manifests have no column ``kind``."""

SPLITS = ("train", "val", "test")

CLINICAL, DERMOSCOPIC = KINDS = ("clinical", "dermoscopic")
"""Kinds of photo: taken by a camera or phone alone, or through a dermatoscope."""

_DERMOSCOPIC_SOURCES = frozenset({"ham10000", "isic2019", "siim2020"})
"""Sources whose photos are dermoscopic in manifests without a column ``kind``."""


class ManifestError(CommandError):
    """The manifest, or an image that it lists, cannot be used; the message says why."""


@dataclass(frozen=True)
class Row:
    """One image of the manifest.

    Attributes:
        malignant: 0 or 1.
        split: train, val or test.
        kind: clinical or dermoscopic; by default the kind of the source.
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

    Relative image paths are taken from the manifest's own folder.

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
            if missing := set(COLUMNS) - set(table.fieldnames or ()):
                raise ManifestError(
                    f"{path}: expected the columns {','.join(HEADER)}; "
                    f"missing {','.join(sorted(missing))}"
                )
            return [_row(path, number, record) for number, record in enumerate(table, start=2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path}: expected a CSV table in UTF-8: {error}") from error


def _row(path: Path, line: int, record: dict[str, str]) -> Row:
    if None in record.values():
        raise ManifestError(f"{path}, line {line}: expected {len(record)} values, found fewer")
    if record["malignant"] not in ("0", "1") or record["split"] not in SPLITS:
        raise ManifestError(
            f"{path}, line {line}: expected malignant 0 or 1 and split train, val or test, "
            f"got {record['malignant']!r} and {record['split']!r}"
        )
    kind = record.get("kind", "")
    if "kind" in record and kind not in KINDS:
        expected = " or ".join(KINDS)
        raise ManifestError(f"{path}, line {line}: expected kind {expected}, got {kind!r}")
    return Row(
        path=str(path.parent / record["path"]),
        source=record["source"],
        diagnosis=record["diagnosis"],
        malignant=int(record["malignant"]),
        group=record["group"],
        split=record["split"],
        kind=kind,
    )


def split_hashes(rows: list[Row]) -> dict[str, str]:
    """``split_hash`` of each split."""
    return {split: split_hash([row for row in rows if row.split == split]) for split in SPLITS}


def split_hash(rows: list[Row]) -> str:
    """SHA-256 of the rows' sorted file names, to tell whether two runs used the same images."""
    names = "\n".join(sorted(Path(row.path).name for row in rows))
    return hashlib.sha256(names.encode()).hexdigest()
