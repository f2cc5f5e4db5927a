"""The manifest: one row an image, written by ``training.prepare``, read by every other command."""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from training.cli import CommandError

COLUMNS = ("path", "source", "diagnosis", "malignant", "group", "split")


class ManifestError(CommandError):
    """A manifest that cannot be used; the message says what was expected and what came."""


@dataclass(frozen=True)
class Row:
    """One image of the manifest; ``malignant`` is 0 or 1, ``split`` train, val or test."""

    path: str
    source: str
    diagnosis: str
    malignant: int
    group: str
    split: str


def read_manifest(path: str | Path) -> list[Row]:
    """Read a manifest that ``training.prepare`` wrote.

    Relative image paths are taken from the manifest's own folder.

    Raises:
        ManifestError: no such file, a missing column, or a value outside its vocabulary.
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(
            f"{path}: no such manifest.\n"
            "Get a public set (README, 'Train your own') and run: "
            "python -m training.prepare --ham10000 DIR --out data"
        )
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        if missing := set(COLUMNS) - set(table.fieldnames or ()):
            raise ManifestError(
                f"{path}: expected the columns {','.join(COLUMNS)}; "
                f"missing {','.join(sorted(missing))}"
            )
        return [_row(path, number, record) for number, record in enumerate(table, start=2)]


def _row(path: Path, line: int, record: dict[str, str]) -> Row:
    if record["malignant"] not in ("0", "1") or record["split"] not in ("train", "val", "test"):
        raise ManifestError(
            f"{path}, line {line}: expected malignant 0 or 1 and split train, val or test, "
            f"got {record['malignant']!r} and {record['split']!r}"
        )
    return Row(
        path=str(path.parent / record["path"]),
        source=record["source"],
        diagnosis=record["diagnosis"],
        malignant=int(record["malignant"]),
        group=record["group"],
        split=record["split"],
    )


def split_hash(rows: list[Row]) -> str:
    """SHA-256 of the rows' sorted file names: tells whether two runs had the same images."""
    names = "\n".join(sorted(Path(row.path).name for row in rows))
    return hashlib.sha256(names.encode()).hexdigest()
