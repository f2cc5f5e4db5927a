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
from training.datasets.manifest import HEADER
from training.datasets.records import Record, Source
from training.datasets.splits import SHARES, assign


class Assigned(NamedTuple):
    """An image that is kept, with the group and the split that it was given."""

    record: Record
    group: str
    split: str


@dataclass(frozen=True)
class Prepared:
    """What goes into one manifest, and the counts that its report shows.

    Attributes:
        rows: kept images in the order of source and name.
        prints: the fingerprint of each row's image.
        unfit: names of images left out for their size or as masks, with the reason.
        duplicates: images dropped per source because another kept image is the same picture.
        contradictory: images dropped per source because one copy of the picture is labelled
            benign and another malignant.
        merged: number of groups joined to another because they share a picture, or nearly.
        moved: images whose split differs from the earlier manifest's, by old and new split.
    """

    rows: list[Assigned]
    prints: list[Fingerprint]
    unfit: list[str]
    duplicates: Counter[str]
    contradictory: Counter[str]
    merged: int
    moved: Counter[tuple[str, str]]


def prepare(
    read: list[Source],
    seed: int,
    shares: Mapping[str, int] = SHARES,
    earlier: EarlierSplits | None = None,
) -> Prepared:
    """Drop duplicates, join groups that share a picture, and assign each group a split.

    Args:
        read: the sources.
        seed: seed of the random split.
        shares: percent of each source and diagnosis that a split gets.
        earlier: the splits of an earlier manifest, which are kept.

    Raises:
        PrepareError: images that cannot be read, or none left.
    """
    usable = fingerprint_all(
        [record for source in read for record in source.records if record.path]
    )
    records = usable.records
    same = same_picture(records, [each.digest for each in usable.prints], read)
    kept, contradictory = _one_per_picture(records, components(len(records), same))
    near = near_duplicates([each.hashes for each in usable.prints])
    groups, merged = _joined_groups(records, same + near)
    rows = [records[index] for index in kept]
    strata = [(record.source, record.kind, record.diagnosis) for record in rows]
    kept_groups = [groups[record.group] for record in rows]
    earlier = earlier or EarlierSplits([])
    splits = assign(kept_groups, strata, seed, shares, earlier.of_groups(records, groups))
    dropped = Counter(record.source for record in records)
    dropped -= Counter(record.source for record in rows) + contradictory
    return Prepared(
        [Assigned(row, group, splits[group]) for row, group in zip(rows, kept_groups, strict=True)],
        [usable.prints[index] for index in kept],
        usable.unfit,
        dropped,
        contradictory,
        merged,
        earlier.moves(rows, [splits[group] for group in kept_groups]),
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


def _joined_groups(
    records: list[Record], links: list[tuple[int, int]]
) -> tuple[dict[str, str], int]:
    """Join groups that share a picture.

    Args:
        records: all images.
        links: index pairs of images that show the same picture, or nearly.

    Returns:
        The new name of each group, which is the alphabetically first of the joined names, and how
        many groups disappeared.
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
        table.writerow(HEADER)
        for record, group, split in prepared.rows:
            assert record.path is not None
            image = record.path.resolve().as_posix()
            label = (record.diagnosis, record.malignant)
            table.writerow([image, record.source, record.kind, *label, group, split])
