"""Files under a folder, and what each is: told by its content, never by its name."""

import os
import re
from pathlib import Path

PHOTO, DICOM, OTHER_IMAGE, PACKED, NO_IMAGE = "photo", "DICOM", "image", "archive", "no image"
"""What a file can be: one that ``lens.images.decode`` reads; DICOM; an image of another format,
which it does not read; an archive (zip ...), which may hold photos."""

_HEIF_BRANDS = ("avif", "avis", "mif1", "msf1", "heic", "heix", "heim", "heis", "hevc", "hevx")
_SIGNATURES = (
    (0, b"\xff\xd8\xff", PHOTO),  # JPEG
    (0, b"\x89PNG\r\n\x1a\n", PHOTO),
    (8, b"WEBP", PHOTO),
    *((4, b"ftyp" + brand.encode(), PHOTO) for brand in _HEIF_BRANDS),
    (128, b"DICM", DICOM),
    (0, b"II*\0", OTHER_IMAGE),  # TIFF, and most cameras' raw files
    (0, b"MM\0*", OTHER_IMAGE),
    (0, b"II+\0", OTHER_IMAGE),  # BigTIFF
    (0, b"BM", OTHER_IMAGE),
    (0, b"GIF8", OTHER_IMAGE),
    (0, b"8BPS", OTHER_IMAGE),  # Photoshop
    (0, b"\0\0\0\x0cjP  ", OTHER_IMAGE),  # JPEG 2000
    (0, b"\xff\x4f\xff\x51", OTHER_IMAGE),
    (0, b"\0\0\0\x0cJXL ", OTHER_IMAGE),  # JPEG XL
    (0, b"\xff\x0a", OTHER_IMAGE),
    (4, b"ftypcrx ", OTHER_IMAGE),  # Canon's raw files
    (0, b"PK\x03\x04", PACKED),
    (0, b"7z\xbc\xaf\x27\x1c", PACKED),
    (0, b"Rar!", PACKED),
    (0, b"\x1f\x8b", PACKED),  # gzip
)
_HEAD = 132
"""Bytes that every signature lies in."""

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
"""What macOS, Windows, Linux and Synology leave in people's folders, in small letters."""


def content_of(path: Path) -> str:
    """What a file is: PHOTO, DICOM, OTHER_IMAGE, PACKED or NO_IMAGE.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for at, mark, content in _SIGNATURES:
        if head[at : at + len(mark)] == mark:
            return content
    return NO_IMAGE


def made_from_photos(name: Path) -> str:
    """What an image is that was made from a photo, by its name below a folder; else nothing."""
    folders = name.parts[:-1]
    if any(map(_MASK_FOLDER.search, folders)) or _MASK_NAME.search(name.name):
        return "masks, by their name"
    if any(map(_THUMBNAIL_FOLDER.search, folders)):
        return "thumbnails, by their folder"
    return ""


def walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """All files under a folder, those behind links to folders too, and what is passed over.

    Returns:
        The files, sorted; then files and folders that are hidden (their name starts with a dot),
        in ``SYSTEM_NAMES``, broken links, or neither file nor folder.

    Raises:
        OSError: a folder cannot be read; ``filename`` says which.
    """
    files: list[Path] = []
    passed_over: list[Path] = []
    _walk(folder, (), files, passed_over)
    return sorted(files), sorted(passed_over)


def _walk(
    folder: Path, above: tuple[tuple[int, int], ...], files: list[Path], passed_over: list[Path]
) -> None:
    status = folder.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in above:  # A link to a folder that holds it has no end.
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith(".") or entry.name.lower() in SYSTEM_NAMES:
                passed_over.append(path)
            elif entry.is_dir():
                _walk(path, (*above, identity), files, passed_over)
            elif entry.is_file():
                files.append(path)
            else:
                passed_over.append(path)
