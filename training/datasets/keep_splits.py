"""The splits of an earlier manifest, kept when a manifest grows."""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from training.datasets.manifest import SPLITS, Row, read_manifest, split_hashes
from training.datasets.records import Record

FOLDER = "earlier_splits"
"""Beside a manifest: copies of those whose splits it keeps."""

STRICTEST = ("test", "val", "train")
"""Of a group joined from several earlier splits, the first of these: what a model was tested on
never moves to train, nor does what its threshold was chosen on."""


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

    def of_image(self, source: str, path: str | Path) -> str | None:
        """The split of an image; a file that has moved is known by its source and name."""
        by_name = self._by_name.get((source, Path(path).stem))
        return self._by_path.get(_resolved(path), by_name)

    def of_groups(self, records: Sequence[Record], groups: Mapping[str, str]) -> dict[str, str]:
        """The split that each group must have, for groups that were there before.

        Args:
            records: all images found, those dropped as duplicates too.
            groups: the name of each record's group after joining, by its own name.
        """
        found: dict[str, list[str]] = {}
        for record in records:
            for split in (self._of_record(record), self._by_group.get(record.group)):
                if split:
                    found.setdefault(groups[record.group], []).append(split)
        return {group: strictest(splits) for group, splits in found.items()}

    def moves(self, records: Sequence[Record], splits: Sequence[str]) -> Counter[tuple[str, str]]:
        """Number of images by earlier and present split, where these differ."""
        pairs = zip(map(self._of_record, records), splits, strict=True)
        return Counter((old, new) for old, new in pairs if old and old != new)

    def _of_record(self, record: Record) -> str | None:
        assert record.path is not None
        return self.of_image(record.source, record.path)


def strictest(splits: Iterable[str]) -> str:
    """Of several splits the one that keeps most from training."""
    return min(splits, key=STRICTEST.index)


def keep_copies(manifest: Path, out: Path) -> None:
    """Copy a manifest, and those that it kept, to beside the one that grows from it."""
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    kept = sorted((manifest.parent / FOLDER).glob("*.csv"))
    for path in [manifest, *kept]:
        copy = folder / f"{split_hashes(read_manifest(path))['train'][:12]}.csv"
        if not copy.exists():
            partial = copy.with_suffix(".partial")
            shutil.copyfile(path, partial)
            partial.replace(copy)


def images_learned(
    hashes: Mapping[str, str], manifest: Path, rows: Iterable[Row]
) -> list[str] | None:
    """Which of some images a model has learned from, or was chosen on.

    Args:
        hashes: of the splits of the model's own manifest, as its card has them.
        manifest: the present one; beside it lie the earlier ones it has grown from.
        rows: the images, such as those of the present test split.

    Returns:
        Their paths; None where no earlier manifest is the model's own.
    """
    for path in sorted((manifest.parent / FOLDER).glob("*.csv")):
        theirs = read_manifest(path)
        if split_hashes(theirs) == {name: hashes.get(name) for name in SPLITS}:
            earlier = EarlierSplits(theirs)
            return [r.path for r in rows if earlier.of_image(r.source, r.path) in ("train", "val")]
    return None


def _resolved(path: str | Path) -> str:
    return Path(path).resolve().as_posix()
