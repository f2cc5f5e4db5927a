"""Find the photos in a data set's folder, and choose between several files of one name."""

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
"""A file with such a suffix counts as a photo whatever it contains, even if it is damaged."""


@dataclass(frozen=True)
class Folder:
    """The files under a data set's folder.

    Attributes:
        photos: the photos, sorted.
        others: files that are no images, such as tables.
        not_taken: names of all other files, by the reason why they are not used.
    """

    path: Path
    photos: list[Path]
    others: list[Path]
    not_taken: dict[str, list[str]]


def open_folder(path: Path) -> Folder:
    """Sort the files under a folder by their content.

    Raises:
        PrepareError: a folder or file is missing or cannot be read, or a name is not UTF-8.
    """
    if not path.is_dir():
        raise PrepareError(f"{_shown(path)}: no such folder; expected one that holds images")
    photos: list[Path] = []
    others: list[Path] = []
    not_taken: dict[str, list[str]] = defaultdict(list)
    try:
        files, hidden = walk(path)
        not_taken["hidden, the system's own, or a broken link"] = _names(path, hidden)
        for file in files:
            reason = _reason_not_taken(file, file.relative_to(path))
            if reason is None:
                photos.append(file)
            elif reason:
                not_taken[reason].append(file.relative_to(path).as_posix())
            else:
                others.append(file)
    except OSError as error:
        where = _shown(Path(error.filename or path))
        raise PrepareError(f"{where}: cannot be read: {error.strerror}") from error
    for file in photos:
        _check_name(file)
    return Folder(path, photos, others, {why: names for why, names in not_taken.items() if names})


def _reason_not_taken(file: Path, name: Path) -> str | None:
    """Why a file is not used as a photo; None if it is used, "" if it is no image at all."""
    content = content_of(file)
    is_photo = content in (PHOTO, DICOM) or file.suffix.lower() in PHOTO_SUFFIXES
    if (is_photo or content == OTHER_IMAGE) and (derived := made_from_photos(name)):
        return derived
    if is_photo:
        return None
    if content == OTHER_IMAGE:
        return "TIFF, BMP, GIF and the like (JPEG, PNG, WebP, AVIF, HEIC and DICOM are read)"
    return "packed; unpack what holds photos" if content == PACKED else ""


def _check_name(file: Path) -> None:
    try:
        str(file).encode()
    except UnicodeEncodeError as error:
        raise PrepareError(f"{_shown(file)}: expected a file name in UTF-8; rename it") from error


def _shown(path: Path) -> str:
    return os.fsencode(path).decode(errors="backslashreplace")


def without_suffix(name: str) -> str:
    """Turn ``PAT_1_2_3.png`` into ``PAT_1_2_3``; a name without a photo's suffix stays as it is."""
    return name.rpartition(".")[0] if Path(name).suffix.lower() in PHOTO_SUFFIXES else name


def _names(folder: Path, paths: Iterable[Path]) -> list[str]:
    return [_shown(path.relative_to(folder)) for path in paths]


def by_name(folder: Folder) -> tuple[dict[str, Path], dict[str, list[str]]]:
    """Index the photos by their name without suffix, as tables name them.

    Of several files with one name, this drops copies and smaller sizes of the same picture, masks,
    and DICOM beside another format.

    Returns:
        The photo of each name, and the names of the dropped files by the reason.

    Raises:
        PrepareError: two different pictures have one name.
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
        reasons |= {path: "DICOM beside a picture" for path in paths if path not in pictures}
    seen: dict[bytes, Path] = {}
    for path in pictures or paths:
        if seen.setdefault(path.read_bytes(), path) is not path:
            reasons[path] = "copies of a file of the same name"
    left = [path for path in paths if path not in reasons]
    if len(left) == 1:
        return left[0], reasons
    prints: dict[Path, Fingerprint] = {}
    for path in left:
        try:
            prints[path] = fingerprint(path)
        except InvalidImage as error:
            reasons[path] = f"{error.reason.replace('_', ' ')}, beside another of the same name"
    reasons |= {
        path: "masks, by their grey levels" for path, each in prints.items() if each.is_mask
    }
    left = sorted((p for p in prints if p not in reasons), key=lambda p: -_area(prints[p]))
    if not left or len(near_duplicates([prints[path].hashes for path in left])) < len(left) - 1:
        raise _two_of_one_name(folder, name, left or paths)
    return left[0], reasons | dict.fromkeys(left[1:], "the same picture, no larger")


def _area(picture: Fingerprint) -> int:
    return picture.size[0] * picture.size[1]


def _two_of_one_name(folder: Path, name: str, paths: list[Path]) -> PrepareError:
    files = " and ".join(path.relative_to(folder).as_posix() for path in paths[:2])
    return PrepareError(
        f"{folder}: expected one picture named {name}, found different ones: {files}; keep one"
    )
