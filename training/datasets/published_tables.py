"""Find the tables of published sets by file name, and read them with any common delimiter."""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from training.datasets.photos import Folder
from training.datasets.records import PrepareError

SUFFIXES = (".csv", "", ".tab", ".tsv", ".txt")
"""Suffixes of a table, the preferred ones first. Harvard Dataverse uses .tab, or no suffix."""

_COLLECTION_TABLE = re.compile(r".+_metadata_\d{4}-\d\d-\d\d\.csv", re.IGNORECASE)
"""The ISIC Archive website's name for a collection's table: ham10000_metadata_2024-05-01.csv."""


def find_table(folder: Folder, *stems: str) -> Path:
    """Find a table by its file name without suffix, in the folder or any subfolder.

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
    """Find a table like ``find_table``, but return None if there is none."""
    for name in (f"{stem}{suffix}".lower() for stem in stems for suffix in SUFFIXES):
        # Prefer the table closest to the top: subfolders may hold tables of parts of the set.
        named = [path for path in folder.others if path.name.lower() == name]
        if named:
            return min(named, key=lambda path: (len(path.parts), path))
    return None


def find_archive_table(folder: Folder) -> Path:
    """Find the table of an ISIC Archive download.

    The client writes ``metadata.csv``; the website offers one table per collection.

    Raises:
        PrepareError: there is none, or there are several.
    """
    named = [path for path in folder.others if _COLLECTION_TABLE.fullmatch(path.name)]
    if find_optional_table(folder, "metadata") or not named:
        return find_table(folder, "metadata")
    if len(named) > 1:
        names = ", ".join(path.name for path in named[:3])
        raise PrepareError(f"{folder.path}: expected one ISIC Archive table, found {names}")
    return named[0]


def read_rows(table: Path, *columns: str) -> Iterator[dict[str, str]]:
    """Read the rows of a UTF-8 table, with or without a byte order mark, and strip the values.

    Args:
        table: the file.
        columns: required columns.

    Raises:
        PrepareError: the file cannot be read, is not a UTF-8 table, or lacks columns or values.
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
    """The delimiter: comma, tab, or semicolon, which Excel writes in many countries."""
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


def one_hot_class(table: Path, name: str, row: dict[str, str], classes: Iterable[str]) -> str:
    """Return the class whose column is 1 in a one-hot row.

    Raises:
        PrepareError: no column is 1, or several are.
    """
    marked = [each for each in classes if row[each] in ("1", "1.0")]
    if len(marked) != 1:
        raise PrepareError(
            f"{table}: {name}: expected a 1 in exactly one of {', '.join(classes)}; "
            f"found {len(marked)}"
        )
    return marked[0]
