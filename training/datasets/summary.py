"""Summarise in text the images that ``training.prepare`` used and left out, and the splits."""

from collections import Counter

from training.datasets.build import Assigned, Prepared
from training.datasets.manifest import KINDS
from training.datasets.records import Source
from training.datasets.sources import UNLISTED
from training.datasets.splits import SHARES

NAMES_SHOWN = 3
"""Number of names shown for each list of images or files."""


def summary(sources: list[Source], prepared: Prepared) -> str:
    """The summary that the command prints."""
    parts = [
        _tables(sources),
        _splits(sources, prepared),
        _dropped(prepared),
        *map(_unused, sources),
    ]
    return "\n\n".join(part for part in parts if part)


def one_class_warnings(prepared: Prepared) -> list[str]:
    """A warning for each source with images of only one class."""
    classes: dict[str, Counter[int]] = {}
    for row in prepared.rows:
        classes.setdefault(row.record.source, Counter())[row.record.malignant] += 1
    return [
        f"WARNING: all {counts.total():,} images of {source} are "
        f"{'malignant' if 1 in counts else 'benign'}: a network can recognise them by the camera. "
        "Training needs both classes, preferably in each source."
        for source, counts in classes.items()
        if len(counts) == 1
    ]


def _tables(sources: list[Source]) -> str:
    lines = ["Tables           listed    benign malignant   present    absent  unlisted"]
    for source in sources:
        listed, absent = len(source.records), len(source.absent)
        malignant = sum(record.malignant for record in source.records)
        unlisted = len(source.ignored.get(UNLISTED, ()))
        counts = (listed, listed - malignant, malignant, listed - absent, absent, unlisted)
        lines.append(f"{source.name:13}" + "".join(f"{count:10,}" for count in counts))
    read_from = [
        f"read: {source.name} from {', '.join(source.tables)}"
        for source in sources
        if source.tables
    ]
    return "\n".join(lines + read_from)


def _splits(sources: list[Source], prepared: Prepared) -> str:
    """The splits by kind, then by source; a source with both kinds gets a line for each."""
    lines = ["Splits                  " + "".join(f"{split:>30}" for split in SHARES)]
    lines.append(" " * 24 + f"{'images':>10}{'malignant':>10}{'groups':>10}" * len(SHARES))
    rows = prepared.rows
    parts = {kind: [row for row in rows if row.record.kind == kind] for kind in KINDS}
    for source in sources:
        for kind in KINDS:
            own = [row for row in parts[kind] if row.record.source == source.name]
            parts[f"{source.name} {kind}"] = own
    parts = {name: chosen for name, chosen in parts.items() if chosen} | {"all": rows}
    return "\n".join([*lines, *(_line(name, chosen) for name, chosen in parts.items())])


def _line(name: str, rows: list[Assigned]) -> str:
    line = f"{name:24}"
    for split in SHARES:
        chosen = [row for row in rows if row.split == split]
        malignant = sum(row.record.malignant for row in chosen)
        groups = len({row.group for row in chosen})
        line += f"{len(chosen):10,}{malignant:10,}{groups:10,}"
    return line


def _dropped(prepared: Prepared) -> str:
    lines = [
        f"duplicates dropped: {_per_source(prepared.duplicates)}",
        f"dropped because copies have different labels: {_per_source(prepared.contradictory)}",
        f"groups joined to another because of (near-)duplicates: {prepared.merged:,}",
    ]
    if prepared.moved:
        each = ", ".join(f"{a} to {b} {n:,}" for (a, b), n in sorted(prepared.moved.items()))
        lines.append(f"moved because their group was joined to one in another split: {each}")
    unfit = f"{count(len(prepared.unfit), 'image')}: {_named(prepared.unfit)}"
    lines.append(
        f"left out because of their size or as masks: {unfit if prepared.unfit else 'none'}"
    )
    return "\n".join(lines)


def _unused(source: Source) -> str:
    """How many images and files of a source were not used, and some names, for each reason."""
    reasons = {f"listed in {source.name}, but the file is missing": (source.absent, "image")}
    for reason, names in source.left_out.items():
        reasons[f"left out of {source.name}, {reason}"] = (names, "image")
    for reason, names in source.ignored.items():
        reasons[f"ignored in {source.name}, {reason}"] = (names, "file")
    return "\n".join(
        f"{reason}: {count(len(names), noun)}\n    {_named(names)}"
        for reason, (names, noun) in reasons.items()
        if names
    )


def _named(names: list[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")


def _per_source(counts: Counter[str]) -> str:
    each = ", ".join(f"{name} {number:,}" for name, number in counts.items())
    return f"{counts.total():,} ({each})" if each else "none"


def count(number: int, noun: str) -> str:
    """A number with its noun, such as "1 image" and "2 images"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
