"""The options of ``training.prepare``."""

from dataclasses import dataclass
from pathlib import Path

from training.datasets.download import Download


@dataclass(frozen=True)
class PrepareOptions:
    """The options of ``training.prepare``.

    Attributes:
        sets: the folder of each published set, by the name of its reader.
        folders: the user's own folders, each with the kind of its photos.
        not_lesion: folders of photographs that show anything but a lesion.
        downloads: downloads to do first, into folders that ``sets`` names.
        accept_terms: whether the user has accepted the terms of the downloads.
        dry_run: only say what would be downloaded.
        keep_splits: an earlier manifest, whose images and groups keep their split.
        out: the folder to write to.
        seed: seed of the random split.
    """

    sets: dict[str, Path]
    folders: tuple[tuple[Path, str], ...]
    not_lesion: tuple[Path, ...]
    downloads: tuple[Download, ...]
    accept_terms: bool
    dry_run: bool
    keep_splits: Path | None
    out: Path
    seed: int
