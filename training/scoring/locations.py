"""Find and read the photos to score: files, folders, object stores (fsspec URLs), and tables."""

import csv
import os
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from lens.images import InvalidImage
from lens.photo_files import made_from_photos, walk
from training.cli import CommandError

MAX_BYTES = 512 * 1024 * 1024
"""Larger files are not photos: 40 megapixels take less, even uncompressed with 16 bits."""

RETRIED_REASONS = ("missing", "unreadable")
"""Reasons that may be temporary, such as a network share that is not mounted."""

HIDDEN = "hidden or system file, or broken link"


class ArchiveError(CommandError):
    """A folder, table or object store cannot be read; the message says why."""


def find_photos(
    locations: Iterable[str], excluded: Collection[Path]
) -> tuple[list[str], dict[str, list[str]]]:
    """List the photos at the locations, in order and each only once; folders are sorted by name.

    Args:
        locations: files, folders, and URLs of both, such as s3://bucket/folder. All files in a
            folder count as photos except hidden files, system files, masks and thumbnails; in an
            object store, only hidden files are left out. A missing location is kept, so that it is
            reported later.
        excluded: files to leave out of folders.

    Returns:
        The photos; and the files left out of folders, by reason, without the ``excluded`` ones.

    Raises:
        ArchiveError: a folder cannot be read, an object store cannot be listed, or a package for it
            is missing.
    """
    photos: dict[str, None] = {}
    left_out: dict[str, list[str]] = {}
    for location in locations:
        if _is_url(location):
            photos |= dict.fromkeys(_find_in_store(location))
        elif os.path.isdir(location):
            photos |= dict.fromkeys(_find_in_folder(Path(location), excluded, left_out))
        else:
            photos[str(Path(location))] = None
    return list(photos), left_out


def _find_in_folder(
    folder: Path, excluded: Collection[Path], left_out: dict[str, list[str]]
) -> list[str]:
    """The photos in a folder; adds the other files to ``left_out``."""
    try:
        files, hidden = walk(folder)
    except OSError as error:
        raise ArchiveError(f"{error.filename}: cannot be read: {error.strerror}") from error
    if hidden:
        left_out.setdefault(HIDDEN, []).extend(map(str, hidden))
    resolved = {path.resolve() for path in excluded}
    photos = []
    for file in files:
        if derived := made_from_photos(file.relative_to(folder)):
            left_out.setdefault(derived, []).append(str(file))
        elif file.resolve() not in resolved:
            photos.append(str(file))
    return photos


def paths_in_table(table: Path) -> list[str]:
    """Read the column ``path`` of a CSV table; relative paths are relative to the table's folder.

    Raises:
        ArchiveError: the table cannot be read, is not CSV, or has no such column.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or ()
            if "path" not in columns:
                raise ArchiveError(
                    f"{table}: expected a column named path, got {', '.join(columns) or 'none'}"
                )
            paths = [row["path"] for row in rows if row["path"]]
    except OSError as error:
        raise ArchiveError(f"{table}: the table cannot be read: {error.strerror}") from error
    except csv.Error as error:
        raise ArchiveError(f"{table}: expected a CSV table: {error}") from error
    return [path if _is_url(path) else str(table.parent / path) for path in paths]


def read_bytes(location: str) -> bytes:
    """Read the content of one photo.

    Raises:
        InvalidImage: it is missing, unreadable, or too large for a photo.
        ArchiveError: the object store cannot be opened, or a package for it is missing.
    """
    if _is_url(location):
        return _read_from_store(location)
    if not os.path.lexists(location):
        raise InvalidImage("missing", "There is no such file or folder.")
    # Reading from a pipe or a device could block forever.
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


def _open_store(url: str) -> tuple[Any, str]:
    """Open the object store of a URL; return it with the path in the store."""
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise ArchiveError(f"{url}: reading it needs fsspec: pip install fsspec") from error
    try:
        store, path = fsspec.core.url_to_fs(url)
        return store, path
    except Exception as error:  # For example "Install s3fs to access S3".
        raise ArchiveError(f"{url}: cannot be opened: {error}") from error


def _find_in_store(url: str) -> list[str]:
    store, top = _open_store(url)
    try:
        names = sorted(store.find(top))
    except Exception as error:  # Each store's package has its own exceptions.
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
    except Exception as error:  # Each store's package has its own exceptions.
        raise InvalidImage("unreadable", f"The object cannot be read: {error}") from error
    return content


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise InvalidImage("too_large", f"The file has more than {MAX_BYTES:,} bytes.")
