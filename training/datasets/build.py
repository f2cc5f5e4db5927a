"""Combine data sets into one manifest: drop duplicates, keep lesions together, assign splits."""

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lens.files import replacing
from training.datasets.duplicates import components, near_duplicates, same_picture
from training.datasets.fingerprints import Fingerprint, fingerprint_all
from training.datasets.keep_splits import EarlierSplits
from training.datasets.manifest import COLUMNS
from training.datasets.records import Record, Source
from training.datasets.splits import SHARES, assign


class Assigned(NamedTuple):
    """An image that is kept, with the group and the split assigned to it."""

    record: Record
    group: str
    split: str


@dataclass(frozen=True)
class Prepared:
    """The content of one manifest, and the counts that its report shows.

    Attributes:
        rows: the kept images, ordered by source and name.
        fingerprints: the fingerprint of each row's image.
        unfit: images left out because of their size or because they are masks, with the reason.
        duplicates: number of images per source dropped because a kept image is the same picture.
        contradictory: number of images per source dropped because one copy of the picture is
            labelled benign and another malignant.
        merged: number of groups joined to another because of a duplicate or near-duplicate.
        moved: number of images whose split differs from the earlier manifest, by old and new split.
    """

    rows: list[Assigned]
    fingerprints: list[Fingerprint]
    unfit: list[str]
    duplicates: Counter[str]
    contradictory: Counter[str]
    merged: int
    moved: Counter[tuple[str, str]]


def prepare(
    sources: list[Source],
    seed: int,
    shares: Mapping[str, int] = SHARES,
    earlier: EarlierSplits | None = None,
) -> Prepared:
    """Drop duplicates, join groups that share a picture, and assign each group to a split.

    Args:
        sources: the data sets.
        seed: seed of the random split.
        shares: percentage of each source, kind and diagnosis that goes to each split.
        earlier: the splits of an earlier manifest, which are kept.

    Raises:
        PrepareError: an image cannot be read, or no image is left.
    """
    usable = fingerprint_all(
        [record for source in sources for record in source.records if record.path]
    )
    records = usable.records
    same = same_picture(records, [each.digest for each in usable.fingerprints], sources)
    kept, contradictory = _one_per_picture(records, components(len(records), same))
    near = near_duplicates([each.hashes for each in usable.fingerprints])
    groups, merged = _join_groups(records, same + near)
    rows = [records[index] for index in kept]
    strata = [(record.source, record.kind, record.diagnosis) for record in rows]
    kept_groups = [groups[record.group] for record in rows]
    earlier = earlier or EarlierSplits([])
    splits = assign(kept_groups, strata, seed, shares, earlier.of_groups(records, groups))
    dropped = Counter(record.source for record in records)
    dropped -= Counter(record.source for record in rows) + contradictory
    return Prepared(
        [Assigned(row, group, splits[group]) for row, group in zip(rows, kept_groups, strict=True)],
        [usable.fingerprints[index] for index in kept],
        usable.unfit,
        dropped,
        contradictory,
        merged,
        earlier.count_moves(rows, [splits[group] for group in kept_groups]),
    )


def _one_per_picture(
    records: list[Record], first_copy: list[int]
) -> tuple[list[int], Counter[str]]:
    """Keep the first copy of each picture, and no copy of a picture with contradictory labels.

    Args:
        records: all images.
        first_copy: for each image, the index of the first image that shows the same picture.

    Returns:
        Indices of the kept images, and the number of contradictory ones per source.
    """
    labels: dict[int, set[int]] = {}
    for record, first in zip(records, first_copy, strict=True):
        labels.setdefault(first, set()).add(record.malignant)
    kept = [i for i, first in enumerate(first_copy) if i == first and len(labels[first]) == 1]
    contradictory = Counter(
        record.source
        for record, first in zip(records, first_copy, strict=True)
        if len(labels[first]) > 1
    )
    return kept, contradictory


def _join_groups(records: list[Record], links: list[tuple[int, int]]) -> tuple[dict[str, str], int]:
    """Join groups that share a picture.

    Args:
        records: all images.
        links: index pairs of duplicates and near-duplicates.

    Returns:
        The new name of each group, which is the alphabetically first of the joined names, and the
        number of groups that disappeared.
    """
    names = sorted({record.group for record in records})
    position = {name: index for index, name in enumerate(names)}
    ends = [position[record.group] for record in records]
    first = components(len(names), [(ends[left], ends[right]) for left, right in links])
    joined = {name: names[index] for name, index in zip(names, first, strict=True)}
    return joined, len(names) - len(set(first))


def write_manifest(prepared: Prepared, path: Path) -> None:
    """Write the manifest, replacing an earlier one only when the new one is complete.

    Image paths are absolute, so that the manifest still works when it is moved.
    """
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for record, group, split in prepared.rows:
            assert record.path is not None
            image = record.path.resolve().as_posix()
            label = (record.diagnosis, record.malignant)
            table.writerow([image, record.source, record.kind, *label, group, split])
