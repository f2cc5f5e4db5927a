"""What a reader returns for a data set: its listed images, and what it left out and why."""

from dataclasses import dataclass, field
from pathlib import Path

from training.cli import CommandError


class PrepareError(CommandError):
    """A data set cannot be prepared; the message says in one line what was expected and found."""


@dataclass(frozen=True)
class Record:
    """One listed image.

    Attributes:
        image: the image's name in the data set, without suffix; unique in its source.
        malignant: 0 or 1.
        group: lesion or patient, prefixed with the source; all its images share a split.
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
    """One data set as read.

    Attributes:
        records: every image of its table, in the order of their names.
        tables: file names of the tables read.
        duplicates: pairs of image names that the publishers list as the same picture.
        left_out: names of listed images that are unsuitable for training, by the reason.
        not_taken: names of files and folders that are not used as images, by the reason.
    """

    name: str
    records: list[Record]
    tables: tuple[str, ...] = ()
    duplicates: tuple[tuple[str, str], ...] = ()
    left_out: dict[str, list[str]] = field(default_factory=dict)
    not_taken: dict[str, list[str]] = field(default_factory=dict)

    @property
    def present(self) -> list[Record]:
        """The records that have a file."""
        return [record for record in self.records if record.path]

    @property
    def absent(self) -> list[str]:
        """Names of the listed images that the folder lacks."""
        return [record.image for record in self.records if not record.path]
