"""Find the photos in a data set's folder, and choose between files with the same name."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lens.images import InvalidImage
from lens.photo_files import DICOM, OTHER_IMAGE, PACKED, PHOTO, content_of, made_from_photos, walk
from training.datasets.duplicates import near_duplicates
from training.datasets.fingerprints import Fingerprint, fingerprint
from training.datasets.records import PrepareError

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".avif", ".heic", ".heif", ".dcm"}
)
"""A file with one of these suffixes counts as a photo, even if it is damaged."""


@dataclass(frozen=True)
class Folder:
    """The files under a data set's folder.

    Attributes:
        photos: the photos, sorted.
        others: files that are not images, such as tables.
        ignored: names of all other files, by the reason why they are not used.
    """

    path: Path
    photos: list[Path]
    others: list[Path]
    ignored: dict[str, list[str]]


def open_folder(path: Path) -> Folder:
    """Sort the files under a folder into photos, other files and ignored ones.

    Raises:
        PrepareError: a folder or file is missing or cannot be read, or a name is not UTF-8.
    """
    if not path.is_dir():
        raise PrepareError(f"{_printable(path)}: no such folder; expected a folder with images")
    photos: list[Path] = []
    others: list[Path] = []
    ignored: dict[str, list[str]] = defaultdict(list)
    try:
        files, hidden = walk(path)
        ignored["hidden or system file, or broken link"] = _names(path, hidden)
        for file in files:
            reason = _reason_ignored(file, file.relative_to(path))
            if reason is None:
                photos.append(file)
            elif reason:
                ignored[reason].append(file.relative_to(path).as_posix())
            else:
                others.append(file)
    except OSError as error:
        where = _printable(Path(error.filename or path))
        raise PrepareError(f"{where}: cannot be read: {error.strerror}") from error
    for file in photos:
        _check_name(file)
    return Folder(
        path, photos, others, {reason: names for reason, names in ignored.items() if names}
    )


def _reason_ignored(file: Path, name: Path) -> str | None:
    """Why a file is not used as a photo; None if it is used, "" if it is not an image."""
    content = content_of(file)
    is_photo = content in (PHOTO, DICOM) or file.suffix.lower() in PHOTO_SUFFIXES
    if (is_photo or content == OTHER_IMAGE) and (derived := made_from_photos(name)):
        return derived
    if is_photo:
        return None
    if content == OTHER_IMAGE:
        return "TIFF, BMP, GIF and the like (JPEG, PNG, WebP, AVIF, HEIC and DICOM are read)"
    return "archive; unpack it if it contains photos" if content == PACKED else ""


def _check_name(file: Path) -> None:
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise PrepareError(
            f"{_printable(file)}: expected a file name in UTF-8; rename it"
        ) from error


def _printable(path: Path) -> str:
    """The path as text; bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode(errors="backslashreplace")


def without_suffix(name: str) -> str:
    """Turn ``PAT_1_2_3.png`` into ``PAT_1_2_3``; keep a name that has no photo suffix."""
    return name.rpartition(".")[0] if Path(name).suffix.lower() in PHOTO_SUFFIXES else name


def _names(folder: Path, paths: Iterable[Path]) -> list[str]:
    return [_printable(path.relative_to(folder)) for path in paths]


def index_by_name(folder: Folder) -> tuple[dict[str, Path], dict[str, list[str]]]:
    """Index the photos by file name without suffix, which is how tables name them.

    If several files have the same name, copies and smaller versions of the same picture, masks, and
    DICOM files beside another format are dropped.

    Returns:
        The photo for each name, and the names of the dropped files by reason.

    Raises:
        PrepareError: two different pictures have the same name.
    """
    named: dict[str, list[Path]] = defaultdict(list)
    for path in folder.photos:
        named[path.stem].append(path)
    dropped: dict[str, list[str]] = defaultdict(list)
    chosen = {}
    for name, paths in named.items():
        chosen[name] = paths[0]
        if len(paths) > 1:
            chosen[name], reasons = _choose(folder.path, name, paths)
            for path, reason in reasons.items():
                dropped[reason].append(path.relative_to(folder.path).as_posix())
    return chosen, dropped


def _choose(folder: Path, name: str, paths: list[Path]) -> tuple[Path, dict[Path, str]]:
    """Choose one of several files with the same name; also return why each other one is dropped."""
    reasons: dict[Path, str] = {}
    pictures = [path for path in paths if content_of(path) != DICOM]
    if pictures:
        reasons |= {path: "DICOM beside another format" for path in paths if path not in pictures}
    seen: dict[bytes, Path] = {}
    for path in pictures or paths:
        if seen.setdefault(path.read_bytes(), path) is not path:
            reasons[path] = "identical copies with the same name"
    left = [path for path in paths if path not in reasons]
    if len(left) == 1:
        return left[0], reasons
    fingerprints: dict[Path, Fingerprint] = {}
    for path in left:
        try:
            fingerprints[path] = fingerprint(path)
        except InvalidImage as error:
            reasons[path] = (
                f"{error.reason.replace('_', ' ')}, beside another file with the same name"
            )
    reasons |= {
        path: "masks, recognised by their grey levels"
        for path, each in fingerprints.items()
        if each.is_mask
    }
    left = sorted(
        (p for p in fingerprints if p not in reasons), key=lambda p: -_area(fingerprints[p])
    )
    if (
        not left
        or len(near_duplicates([fingerprints[path].hashes for path in left])) < len(left) - 1
    ):
        raise _name_conflict(folder, name, left or paths)
    return left[0], reasons | dict.fromkeys(left[1:], "same picture in the same or a smaller size")


def _area(picture: Fingerprint) -> int:
    return picture.size[0] * picture.size[1]


def _name_conflict(folder: Path, name: str, paths: list[Path]) -> PrepareError:
    files = " and ".join(path.relative_to(folder).as_posix() for path in paths[:2])
    return PrepareError(
        f"{folder}: expected one picture named {name}, found different ones: {files}; keep only one"
    )
