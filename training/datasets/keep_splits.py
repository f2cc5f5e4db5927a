"""Keep the splits of an earlier manifest when images are added to it."""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lens.files import replacing
from training.datasets.duplicates import archive_name
from training.datasets.manifest import SPLITS, Row, read_manifest, split_hashes
from training.datasets.records import Record

FOLDER = "earlier_splits"
"""Folder beside a manifest with copies of the earlier manifests whose splits it keeps."""

STRICTEST_FIRST = ("test", "val", "train")
"""A group joined from several earlier splits gets the first of these. So an image that was used to
test a model, or to choose its threshold, never moves to the train split."""


class EarlierSplits:
    """The splits of images and groups in an earlier manifest."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._by_path: dict[str, str] = {}
        self._by_name: dict[object, str] = {}
        self._by_group: dict[str, str] = {}
        for row in rows:
            self._by_path[_resolved(row.path)] = row.split
            for name in _names(row.source, row.path):
                # Files in different folders can share a name. The stricter split is safe for both.
                self._by_name[name] = strictest([self._by_name.get(name, row.split), row.split])
            self._by_group[row.group] = row.split

    def of_image(self, source: str, path: str | Path) -> str | None:
        """The split of an image, or None.

        A moved file is recognised by its source and name, or by its name in the ISIC Archive, which
        it also keeps in sets of other sources.
        """
        by_name = [self._by_name[name] for name in _names(source, path) if name in self._by_name]
        return self._by_path.get(_resolved(path), strictest(by_name) if by_name else None)

    def of_groups(self, records: Sequence[Record], groups: Mapping[str, str]) -> dict[str, str]:
        """The split that each group must keep, for the groups in the earlier manifest.

        Args:
            records: all images, including those dropped as duplicates.
            groups: the name of each group after joining, by its name before joining.
        """
        earlier: dict[str, list[str]] = {}
        for record in records:
            for split in (self._of_record(record), self._by_group.get(record.group)):
                if split:
                    earlier.setdefault(groups[record.group], []).append(split)
        return {group: strictest(splits) for group, splits in earlier.items()}

    def count_moves(
        self, records: Sequence[Record], splits: Sequence[str]
    ) -> Counter[tuple[str, str]]:
        """Count the images whose split has changed, by the old and the new split."""
        pairs = zip(map(self._of_record, records), splits, strict=True)
        return Counter((old, new) for old, new in pairs if old and old != new)

    def _of_record(self, record: Record) -> str | None:
        assert record.path is not None
        return self.of_image(record.source, record.path)


def strictest(splits: Iterable[str]) -> str:
    """The strictest of several splits, in the order of ``STRICTEST_FIRST``."""
    return min(splits, key=STRICTEST_FIRST.index)


def keep_copies(manifest: Path, out: Path) -> None:
    """Copy an earlier manifest, and those whose splits it keeps, to ``FOLDER`` in ``out``."""
    for path in [manifest, *sorted((manifest.parent / FOLDER).glob("*.csv"))]:
        copy = out / FOLDER / f"{split_hashes(read_manifest(path))['train'][:12]}.csv"
        if not copy.exists():
            with replacing(copy) as partial:
                shutil.copyfile(path, partial)


def images_learned(
    hashes: Mapping[str, str], manifest: Path, rows: Iterable[Row]
) -> list[str] | None:
    """Find the images that were in the train or validation split when a model was trained.

    Args:
        hashes: the split hashes in the model's card.
        manifest: the current manifest; copies of earlier ones are in a folder beside it.
        rows: the images to check, such as the current test split.

    Returns:
        Paths of the images found; None if the model was trained on none of the earlier manifests.
    """
    for path in sorted((manifest.parent / FOLDER).glob("*.csv")):
        earlier_rows = read_manifest(path)
        if split_hashes(earlier_rows) == {name: hashes.get(name) for name in SPLITS}:
            earlier = EarlierSplits(earlier_rows)
            return [r.path for r in rows if earlier.of_image(r.source, r.path) in ("train", "val")]
    return None


def _names(source: str, path: str | Path) -> list[object]:
    """The names that an image is recognised by."""
    archive = archive_name(Path(path).name)
    return [(source, Path(path).stem), *([archive] if archive else [])]


def _resolved(path: str | Path) -> str:
    return Path(path).resolve().as_posix()
