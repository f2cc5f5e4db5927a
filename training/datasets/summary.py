"""What ``training.prepare`` took, what it left and why, and what each split holds, in words."""

from collections import Counter

from training.datasets.build import Prepared
from training.datasets.manifest import KINDS
from training.datasets.records import Record, Source
from training.datasets.sources import UNLISTED
from training.datasets.splits import SHARES

NAMED = 3
"""Names shown of each list."""


def summary(read: list[Source], prepared: Prepared) -> str:
    """The text that the command prints."""
    parts = [_tables(read), _splits(read, prepared), _dropped(prepared), *map(_left, read)]
    return "\n\n".join(part for part in parts if part)


def one_class_warnings(prepared: Prepared) -> list[str]:
    """A sentence for each source whose images are all of one class."""
    classes: dict[str, Counter[int]] = {}
    for record, _, _ in prepared.rows:
        classes.setdefault(record.source, Counter())[record.malignant] += 1
    return [
        f"WARNING: all {counts.total():,} images of {source} are "
        f"{'malignant' if 1 in counts else 'benign'}: a network can tell them by the camera. "
        "Training needs both classes, best in each source."
        for source, counts in classes.items()
        if len(counts) == 1
    ]


def _tables(read: list[Source]) -> str:
    lines = ["Tables           listed    benign malignant   present    absent  unlisted"]
    for source in read:
        listed, absent = len(source.records), len(source.absent)
        malignant = sum(record.malignant for record in source.records)
        unlisted = len(source.not_taken.get(UNLISTED, ()))
        counts = (listed, listed - malignant, malignant, listed - absent, absent, unlisted)
        lines.append(f"{source.name:13}" + "".join(f"{count:10,}" for count in counts))
    read_from = [
        f"read: {source.name} from {', '.join(source.tables)}" for source in read if source.tables
    ]
    return "\n".join(lines + read_from)


def _splits(read: list[Source], prepared: Prepared) -> str:
    """By kind, then by source; a source of both kinds has a line for each."""
    lines = ["Splits                  " + "".join(f"{split:>30}" for split in SHARES)]
    lines.append(" " * 24 + f"{'images':>10}{'malignant':>10}{'groups':>10}" * len(SHARES))
    rows = prepared.rows
    kinds = [kind for kind in KINDS if any(record.kind == kind for record, _, _ in rows)]
    for kind in kinds:
        lines.append(_line(kind, [row for row in rows if row[0].kind == kind]))
    for source in read:
        for kind in kinds:
            chosen = [row for row in rows if (row[0].source, row[0].kind) == (source.name, kind)]
            if chosen:
                lines.append(_line(f"{source.name} {kind}", chosen))
    return "\n".join([*lines, _line("all", rows)])


def _line(name: str, rows: list[tuple[Record, str, str]]) -> str:
    line = f"{name:24}"
    for split in SHARES:
        chosen = [row for row in rows if row[2] == split]
        malignant = sum(record.malignant for record, _, _ in chosen)
        groups = len({group for _, group, _ in chosen})
        line += f"{len(chosen):10,}{malignant:10,}{groups:10,}"
    return line


def _dropped(prepared: Prepared) -> str:
    lines = [
        f"duplicates dropped: {_per_source(prepared.duplicates)}",
        f"dropped because copies disagree on malignant: {_per_source(prepared.contradictory)}",
        f"same or nearly the same picture: {count(prepared.merged, 'group')} joined to another",
    ]
    if prepared.moved:
        each = ", ".join(f"{a} to {b} {n:,}" for (a, b), n in sorted(prepared.moved.items()))
        lines.append(f"moved with their group, which joined one of that split: {each}")
    unfit = f"{count(len(prepared.unfit), 'image')}: {_named(prepared.unfit)}"
    lines.append(f"left out for their size or as masks: {unfit if prepared.unfit else 'none'}")
    return "\n".join(lines)


def _left(source: Source) -> str:
    """What of a source was not used; of each reason the number, then some names."""
    found = {f"listed in {source.name}, but no such file": (source.absent, "image")}
    for reason, names in source.left_out.items():
        found[f"left out of {source.name}, {reason}"] = (names, "image")
    for reason, names in source.not_taken.items():
        found[f"not taken from {source.name}, {reason}"] = (names, "file")
    return "\n".join(
        f"{what}: {count(len(names), noun)}\n    {_named(names)}"
        for what, (names, noun) in found.items()
        if names
    )


def _named(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _per_source(counts: Counter[str]) -> str:
    each = ", ".join(f"{name} {number:,}" for name, number in counts.items())
    return f"{counts.total():,} ({each})" if each else "none"


def count(number: int, noun: str) -> str:
    """1 image, 2 images."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
