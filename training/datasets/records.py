"""The result of reading a data set: its images, and what was left out, with the reasons."""

from dataclasses import dataclass, field
from pathlib import Path

from training.cli import CommandError


class PrepareError(CommandError):
    """A data set cannot be prepared; the message says in one line what was expected and found."""


@dataclass(frozen=True)
class Record:
    """One listed image.

    Attributes:
        image: its name in the set's table, or its path in a folder without a table.
        malignant: 0 or 1.
        group: lesion or patient, prefixed with the source; all images of a group share a split.
        kind: clinical or dermoscopic.
        path: the file, or None if the folder does not have it.
    """

    source: str
    image: str
    diagnosis: str
    malignant: int
    group: str
    kind: str
    path: Path | None


@dataclass(frozen=True)
class Source:
    """One data set, as its reader found it.

    Attributes:
        records: every listed image that is not left out, ordered by name.
        tables: file names of the tables that were read.
        duplicates: pairs of image names that the publishers list as the same picture.
        left_out: names of listed images that are unsuitable for training, by reason.
        ignored: names of files and folders that are not used as images, by reason.
    """

    name: str
    records: list[Record]
    tables: tuple[str, ...] = ()
    duplicates: tuple[tuple[str, str], ...] = ()
    left_out: dict[str, list[str]] = field(default_factory=dict)
    ignored: dict[str, list[str]] = field(default_factory=dict)

    @property
    def absent(self) -> list[str]:
        """Names of the listed images that the folder lacks."""
        return [record.image for record in self.records if not record.path]
