"""Where photos to score lie: files, folders, object stores (fsspec's URLs), tables of all these."""

import csv
import os
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from lens.images import InvalidImage
from training.cli import CommandError

MAX_BYTES = 512 * 1024 * 1024
"""No photo of 40 megapixels is larger, even uncompressed at 16 bits; videos and archives are."""

UNREAD = ("missing", "unreadable")
"""Reasons of what may be read another time: a share that was not mounted, a network that failed."""


class ArchiveError(CommandError):
    """Nothing can be read from where the photos should lie; the message says what to do."""


def find(locations: Iterable[str], besides: Collection[Path]) -> list[str]:
    """The photos at some locations: in their order, those of a folder sorted, each once.

    Args:
        locations: files, folders, and URLs of both, such as s3://bucket/folder. A folder means all
            its files but the hidden ones; a location that does not exist is kept, to be reported.
        besides: files that are no photos even if they lie in a folder.

    Raises:
        ArchiveError: a URL's store cannot be listed, or the package that reads it is missing.
    """
    found: dict[str, None] = {}
    for location in locations:
        if _is_url(location):
            found |= dict.fromkeys(_find_in_store(location))
        elif os.path.isdir(location):
            folder = Path(location)
            files = sorted(file for file in folder.rglob("*") if _counts(file, folder, besides))
            found |= dict.fromkeys(map(str, files))
        else:
            found[str(Path(location))] = None
    return list(found)


def listed(table: Path) -> list[str]:
    """The locations in the column ``path`` of a CSV table; relative ones from its own folder.

    Raises:
        ArchiveError: there is no such table, or it has no such column.
    """
    try:
        with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or ()
            if "path" not in columns:
                raise ArchiveError(
                    f"{table}: expected a column path, got {', '.join(columns) or 'no columns'}"
                )
            paths = [row["path"] for row in rows if row["path"]]
    except OSError as error:
        raise ArchiveError(f"{table}: the table cannot be read: {error.strerror}") from error
    return [path if _is_url(path) else str(table.parent / path) for path in paths]


def read(location: str) -> bytes:
    """The bytes of one photo.

    Raises:
        InvalidImage: it is missing, unreadable, or too large for a photo.
        ArchiveError: its store cannot be reached, or the package that reads it is missing.
    """
    if _is_url(location):
        return _read_from_store(location)
    if not os.path.lexists(location):
        raise InvalidImage("missing", "There is no such file or folder.")
    # A pipe or a device would be waited for, perhaps for ever.
    if not os.path.isfile(location):
        raise InvalidImage("unreadable", "This is not a regular file.")
    try:
        _check_size(os.path.getsize(location))
        return Path(location).read_bytes()
    except OSError as error:
        raise InvalidImage("unreadable", f"The file cannot be read: {error.strerror}.") from error


def _is_url(location: str) -> bool:
    return "://" in location


def _is_hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith(".") for part in parts)


def _counts(file: Path, folder: Path, besides: Collection[Path]) -> bool:
    # os.path, not pathlib: it answers no where pathlib raises, as in a folder without permission.
    return (
        not _is_hidden(file.relative_to(folder).parts)
        and os.path.isfile(file)
        and file.resolve() not in {path.resolve() for path in besides}
    )


def _open_store(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the URL's path in it."""
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise ArchiveError(f"{url}: reading it needs fsspec: pip install fsspec") from error
    try:
        return fsspec.core.url_to_fs(url)
    except Exception as error:  # Its own, or such as "Install s3fs to access S3".
        raise ArchiveError(f"{url}: cannot be opened: {error}") from error


def _find_in_store(url: str) -> list[str]:
    store, top = _open_store(url)
    try:
        names = sorted(store.find(top))
    except Exception as error:  # Each store's package has exceptions of its own.
        raise ArchiveError(f"{url}: cannot be listed: {error}") from error
    shown = [name for name in names if not _is_hidden(PurePosixPath(name[len(top) :]).parts)]
    return [store.unstrip_protocol(name) for name in shown] if names else [url]


def _read_from_store(url: str) -> bytes:
    store, name = _open_store(url)
    try:
        _check_size(store.size(name) or 0)
        content: bytes = store.cat_file(name)
    except InvalidImage:
        raise
    except FileNotFoundError as error:
        raise InvalidImage("missing", "There is no such object.") from error
    except Exception as error:  # Each store's package has exceptions of its own.
        raise InvalidImage("unreadable", f"The object cannot be read: {error}") from error
    return content


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise InvalidImage("too_large", f"The file has more than {MAX_BYTES:,} bytes.")
