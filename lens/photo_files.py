"""Find the files under a folder, and recognise by its content what each one is."""

import os
import re
from pathlib import Path

from lens import formats
from lens.formats import Advice

PHOTO, DICOM, OTHER_IMAGE, PACKED, NO_IMAGE = "photo", "DICOM", "image", "archive", "no image"
"""Types of file. ``lens.images.decode`` accepts PHOTO and not OTHER_IMAGE. PACKED is an archive,
which may contain photos."""

_ARCHIVES = (b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x1f\x8b")  # zip, 7z, rar, gzip

_HEAD_BYTES = 132
"""All signatures are within these first bytes."""

_MASK_FOLDER = re.compile(
    r"(^|[^a-z])(masks?|annotations?|segmentations?|superpixels?)([^a-z]|$)", re.IGNORECASE
)
_MASK_NAME = re.compile(r"_(mask|segmentation|superpixels|attribute_\w+)\.png$", re.IGNORECASE)
_THUMBNAIL_FOLDER = re.compile(r"(^|[^a-z])(thumbs?|thumbnails?)([^a-z]|$)", re.IGNORECASE)

SYSTEM_NAMES = frozenset(
    {
        "__macosx",
        "@eadir",
        "#recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "desktop.ini",
        "icon\r",
    }
)
"""Names, in lower case, of files and folders that operating systems and NAS devices create."""


def content_of(path: Path) -> str:
    """Return PHOTO, DICOM, OTHER_IMAGE, PACKED or NO_IMAGE.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if formats.is_accepted(head):
        return PHOTO
    if head.startswith(_ARCHIVES):
        return PACKED
    known = formats.known_type(head)
    if known is None or known.advice not in (Advice.PICTURE, Advice.RAW):
        return NO_IMAGE
    return DICOM if known.name == "DICOM" else OTHER_IMAGE


def made_from_photos(name: Path) -> str:
    """Say what kind of derived image a path leads to (masks, thumbnails); "" for a photo."""
    folders = name.parts[:-1]
    if any(map(_MASK_FOLDER.search, folders)) or _MASK_NAME.search(name.name):
        return "masks, by their name"
    if any(map(_THUMBNAIL_FOLDER.search, folders)):
        return "thumbnails, by their folder"
    return ""


def walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """All files under a folder, including linked folders, and the entries that were skipped.

    Returns:
        The files, sorted; then the skipped entries, sorted: hidden ones (their name starts with a
        dot), those in ``SYSTEM_NAMES``, broken links, and what is neither a file nor a folder.

    Raises:
        OSError: a folder cannot be read; ``filename`` says which.
    """
    files: list[Path] = []
    skipped: list[Path] = []
    _walk(folder, (), files, skipped)
    return sorted(files), sorted(skipped)


def _walk(
    folder: Path, parents: tuple[tuple[int, int], ...], files: list[Path], skipped: list[Path]
) -> None:
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in parents:  # A link to a parent folder, which would lead to an endless loop.
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith(".") or entry.name.lower() in SYSTEM_NAMES:
                skipped.append(path)
            elif entry.is_dir():
                _walk(path, (*parents, identity), files, skipped)
            elif entry.is_file():
                files.append(path)
            else:
                skipped.append(path)
