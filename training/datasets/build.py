"""Several data sets to the rows of one manifest: no picture twice, lesions together, split."""

import csv
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from training.datasets.duplicates import components, near_duplicates, same_picture
from training.datasets.fingerprints import Fingerprint, fingerprint_all
from training.datasets.manifest import COLUMNS
from training.datasets.sources import Record, Source
from training.datasets.splits import assign


@dataclass(frozen=True)
class Prepared:
    """What goes into one manifest, and the figures on the way to it.

    Attributes:
        rows: kept images in the order of source and name, each with its group and split.
        prints: the fingerprint of each row's image.
        unfit: names of images left out for their size, with the reason.
        duplicates: images dropped per source because another kept image is the same picture.
        contradictory: images dropped per source because their copies disagree on malignant.
        merged: number of groups that joined another because they share a picture or nearly.
    """

    rows: list[tuple[Record, str, str]]
    prints: list[Fingerprint]
    unfit: list[str]
    duplicates: Counter
    contradictory: Counter
    merged: int


def prepare(read: list[Source], seed: int) -> Prepared:
    """Drop duplicates, join groups that share a picture, split.

    Raises:
        PrepareError: images that cannot be read, or none left.
    """
    found = fingerprint_all([record for source in read for record in source.records if record.path])
    records = found.records
    same = same_picture(records, [each.digest for each in found.prints], read)
    kept, contradictory = _one_of_each(records, components(len(records), same))
    near = near_duplicates([each.hashes for each in found.prints])
    groups, merged = _joined_groups(records, same + near)
    rows = [records[index] for index in kept]
    strata = [(record.source, record.diagnosis) for record in rows]
    kept_groups = [groups[record.group] for record in rows]
    splits = assign(kept_groups, strata, seed)
    dropped = Counter(record.source for record in records)
    dropped -= Counter(record.source for record in rows) + contradictory
    return Prepared(
        [(row, group, splits[group]) for row, group in zip(rows, kept_groups, strict=True)],
        [found.prints[index] for index in kept],
        found.unfit,
        dropped,
        contradictory,
        merged,
    )


def _one_of_each(records: list[Record], first_copy: list[int]) -> tuple[list[int], Counter]:
    """The first image of each picture; none of a picture called both benign and malignant."""
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
    """Each group's name after joining: the first of those it is joined with, in order of name."""
    names = sorted({record.group for record in records})
    position = {name: index for index, name in enumerate(names)}
    ends = [position[record.group] for record in records]
    first = components(len(names), [(ends[left], ends[right]) for left, right in links])
    joined = {name: names[index] for name, index in zip(names, first, strict=True)}
    return joined, len(names) - len(set(first))


def write_manifest(prepared: Prepared, path: Path) -> None:
    """Write the manifest whole or not at all. Image paths are absolute, with forward slashes:
    a manifest moved elsewhere on the machine still finds its images.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            for record, group, split in prepared.rows:
                assert record.path is not None
                where = record.path.resolve().as_posix()
                table.writerow(
                    [where, record.source, record.diagnosis, record.malignant, group, split]
                )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
