"""Find the tables of published sets by name, and read them whatever separates their columns."""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from training.datasets.photos import Folder
from training.datasets.records import PrepareError

SUFFIXES = (".csv", "", ".tab", ".tsv", ".txt")
"""Suffixes of a table, the preferred ones first. Harvard's Dataverse offers .tab, or no suffix."""

_OF_COLLECTION = re.compile(r".+_metadata_\d{4}-\d\d-\d\d\.csv", re.IGNORECASE)
"""What the archive's site names the table of a collection: ham10000_metadata_2024-05-01.csv."""


def find_table(folder: Folder, *stems: str) -> Path:
    """Find a table by its name without suffix, in the folder or anywhere below it.

    Args:
        folder: the files to search.
        stems: the possible names, the preferred ones first.

    Raises:
        PrepareError: there is none.
    """
    table = find_optional_table(folder, *stems)
    if table is None:
        raise PrepareError(f"{folder.path}: expected {stems[0]}.csv in it, found none")
    return table


def find_optional_table(folder: Folder, *stems: str) -> Path | None:
    """The same as ``find_table``, but None if there is none."""
    for name in (f"{stem}{suffix}".lower() for stem in stems for suffix in SUFFIXES):
        # Take the one nearest to the top: tables of parts of the set may lie further down.
        named = [path for path in folder.others if path.name.lower() == name]
        if named:
            return min(named, key=lambda path: (len(path.parts), path))
    return None


def find_archive_table(folder: Folder) -> Path:
    """The table of a download of the ISIC Archive: its client's, or its site's of one collection.

    Raises:
        PrepareError: there is none, or there are several.
    """
    named = [path for path in folder.others if _OF_COLLECTION.fullmatch(path.name)]
    if find_optional_table(folder, "metadata") or not named:
        return find_table(folder, "metadata")
    if len(named) > 1:
        names = ", ".join(path.name for path in named[:3])
        raise PrepareError(f"{folder.path}: expected one table of the archive, found {names}")
    return named[0]


def rows(table: Path, *columns: str) -> Iterator[dict[str, str]]:
    """Read the rows of a UTF-8 table, with or without a byte order mark; values are stripped.

    Args:
        table: the file.
        columns: columns that it must have.

    Raises:
        PrepareError: columns or values are missing, or the file is not such a table.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=_delimiter(file.readline()))
            file.seek(0)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            if missing := [name for name in columns if name not in reader.fieldnames]:
                raise PrepareError(
                    f"{table}: expected the columns {', '.join(columns)}; "
                    f"missing {', '.join(missing)}"
                )
            for row in reader:
                if any(row[name] is None for name in columns):
                    raise PrepareError(
                        f"{table}, line {reader.line_num}: expected "
                        f"{len(reader.fieldnames)} values, found fewer"
                    )
                yield {name: (value or "").strip() for name, value in row.items() if name}
    except (UnicodeDecodeError, csv.Error) as error:
        raise PrepareError(f"{table}: expected a CSV table in UTF-8: {error}") from error
    except OSError as error:
        raise PrepareError(f"{table}: cannot be read: {error.strerror}") from error


def _delimiter(header: str) -> str:
    """The separator of the columns: comma, tab, or semicolon (Excel in many countries)."""
    return max(",\t;", key=header.count)


def translate(table: Path, image: str, column: str, value: str, vocabulary: dict[str, str]) -> str:
    """Translate a value of a table; ``image`` and ``column`` are for the error message.

    Raises:
        PrepareError: the vocabulary does not have the value.
    """
    if value not in vocabulary:
        raise PrepareError(
            f"{table}: {image}: {column} {value!r}; expected one of {', '.join(vocabulary)}"
        )
    return vocabulary[value]


def one_hot(table: Path, name: str, row: dict[str, str], classes: Iterable[str]) -> str:
    """The one class that the row marks with a 1.

    Raises:
        PrepareError: it marks none or several.
    """
    marked = [each for each in classes if row[each] in ("1", "1.0")]
    if len(marked) != 1:
        raise PrepareError(
            f"{table}: {name}: expected a 1 in exactly one of {', '.join(classes)}; "
            f"found {len(marked)}"
        )
    return marked[0]
