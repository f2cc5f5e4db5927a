"""What ``training.prepare`` is asked for; importable without what reads images."""

from dataclasses import dataclass
from pathlib import Path

from training.datasets.download import Download


@dataclass(frozen=True)
class PrepareOptions:
    """The options of ``training.prepare``.

    Attributes:
        sets: the folder of each published set, under the name of its reader.
        folders: folders of one's own, and the kind of photo each holds.
        not_lesion: folders of photographs of anything but a lesion.
        downloads: to do first; ``sets`` names their folders.
        accept_terms: whether the terms of what is downloaded are accepted.
        dry_run: say what would be downloaded, and do nothing.
        keep_splits: an earlier manifest, whose images and groups keep their split.
        out: folder to write to.
        seed: draws the split.
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
