"""The options of ``training.prepare``."""

from dataclasses import dataclass
from pathlib import Path

from training.datasets.download import Download


@dataclass(frozen=True)
class PrepareOptions:
    """The options of ``training.prepare``, which its ``--help`` explains.

    ``sets`` maps the name of a reader to the folder of its published set, including the folders of
    ``downloads``. ``folders`` are the user's own folders, each with the kind of its photos.
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
