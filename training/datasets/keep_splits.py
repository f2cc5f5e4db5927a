"""The splits of an earlier manifest, kept when a manifest grows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from training.datasets.manifest import Row
from training.datasets.records import Record

STRICTEST = ("test", "val", "train")
"""Of a group joined from several earlier splits, the first of these: what a model was tested on
never moves to train, and what its threshold was chosen on moves to train no more."""


class EarlierSplits:
    """Which split an image, or its group, had in an earlier manifest."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._by_path: dict[str, str] = {}
        self._by_name: dict[tuple[str, str], str] = {}
        self._by_group: dict[str, str] = {}
        for row in rows:
            self._by_path[_resolved(row.path)] = row.split
            name = (row.source, Path(row.path).stem)
            # Folders can hold two files of one name; the stricter split is safe for both.
            self._by_name[name] = strictest([self._by_name.get(name, row.split), row.split])
            self._by_group[row.group] = row.split

    def of_image(self, record: Record) -> str | None:
        """The split of this image itself; a file that has moved is known by source and name."""
        assert record.path is not None
        by_name = self._by_name.get((record.source, record.path.stem))
        return self._by_path.get(_resolved(record.path), by_name)

    def of_groups(self, records: Sequence[Record], groups: dict[str, str]) -> dict[str, str]:
        """The split that each group must have, for groups that were there before.

        Args:
            records: all images found, those dropped as duplicates too.
            groups: the name of each record's group after joining, by its own name.
        """
        found: dict[str, list[str]] = {}
        for record in records:
            for split in (self.of_image(record), self._by_group.get(record.group)):
                if split:
                    found.setdefault(groups[record.group], []).append(split)
        return {group: strictest(splits) for group, splits in found.items()}

    def moves(self, records: Sequence[Record], splits: Sequence[str]) -> Counter[tuple[str, str]]:
        """Number of images by earlier and present split, where these differ."""
        pairs = zip(map(self.of_image, records), splits, strict=True)
        return Counter((old, new) for old, new in pairs if old and old != new)


def strictest(splits: Iterable[str]) -> str:
    return min(splits, key=STRICTEST.index)


def _resolved(path: str | Path) -> str:
    return Path(path).resolve().as_posix()
