"""What ``training.prepare`` found, as one page with example pictures: for the person who trains.

The page holds pictures of the sets, whose terms forbid passing them on: it lies beside the
manifest, in a folder that is never committed.
"""

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from lens.images import decode
from training.datasets.demographics import describe_patients
from training.datasets.duplicates import closest_across
from training.datasets.manifest import Row
from training.datasets.sources import Record, Source
from training.datasets.splits import SHARES

if TYPE_CHECKING:
    from training.datasets.build import Prepared

EXAMPLES = 6
"""Pictures shown of each class of a source."""
CLOSEST = 12
"""Pairs shown that stand in different splits."""
THUMBNAIL = 112  # pixels
TELLING = 0.1
"""From this distance to one half, the figure of a difference between classes is marked."""

_CLASSES = ("benign", "malignant")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; margin: 2rem auto; max-width: 62rem;
  padding: 0 1rem; }
h1, h2 { color: #0b6e75; } h2 { border-top: 1px solid #dfe3e8; padding-top: 1.5rem; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
caption { text-align: left; font-weight: 600; padding-bottom: .25rem; }
th, td { padding: .15rem .8rem .15rem 0; text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; } tr { border-bottom: 1px solid #dfe3e8; }
figure { display: inline-block; margin: 0 .5rem .5rem 0; } figcaption { font-size: 12px; }
img { width: 112px; height: 112px; display: inline-block; }
.telling { color: #b4554d; font-weight: 600; }
"""


def write_data_report(read: list[Source], prepared: "Prepared", path: Path) -> None:
    """Write the page, self-contained, pictures included.

    Args:
        read: the sources, each image with the file it was listed with.
        prepared: what became of them.
        path: of the page.
    """
    parts = [
        "<h1>What the manifest holds</h1>",
        _overview(read, prepared),
        _leaks(prepared),
        *(_source(source, prepared) for source in read),
    ]
    text = "\n".join(parts)
    path.write_text(
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Data report</title>\n'
        f"<style>{_STYLE}</style>\n{text}\n</html>\n",
        encoding="utf-8",
    )


def _overview(read: list[Source], prepared: "Prepared") -> str:
    rows = []
    for source in read:
        kept = [i for i, (record, _, _) in enumerate(prepared.rows) if record.source == source.name]
        malignant = sum(prepared.rows[i][0].malignant for i in kept)
        present = sum(record.path is not None for record in source.records)
        rows.append(
            [
                source.name,
                f"{len(source.records):,}",
                f"{len(source.records) - present:,}",
                f"{source.unlisted:,}",
                f"{sum(source.left_out.values()):,}",
                f"{prepared.duplicates[source.name]:,}",
                f"{prepared.contradictory[source.name]:,}",
                f"{len(kept):,}",
                f"{malignant / len(kept):.1%}" if kept else "-",
            ]
        )
    header = [
        "source",
        "listed",
        "absent",
        "not in its table",
        "left out",
        "duplicates",
        "contradicting copies",
        "kept",
        "malignant",
    ]
    unfit = f"<p>Left out for their size: {escape(', '.join(prepared.unfit))}</p>"
    note = (
        "<p>Where sources differ in their share of malignant images, a network can learn to know "
        "the source instead of the lesion.</p>"
    )
    return _table("Images", header, rows) + note + (unfit if prepared.unfit else "")


def _leaks(prepared: "Prepared") -> str:
    splits = [split for _, _, split in prepared.rows]
    held: dict[str, set[str]] = {}
    for _, group, split in prepared.rows:
        held.setdefault(group, set()).add(split)
    split_groups = sum(len(names) > 1 for names in held.values())
    digests = [each.digest for each in prepared.prints]
    twins = len(set(zip(digests, splits, strict=True))) - len(set(digests))
    rows = [
        ["lesions or patients in more than one split", f"{split_groups:,}"],
        ["pictures with equal pixels in more than one split", f"{twins:,}"],
        ["groups joined because they share a picture, or nearly", f"{prepared.merged:,}"],
    ]
    pairs = closest_across([each.hashes for each in prepared.prints], splits, CLOSEST)
    shown = "".join(_pair(prepared, *pair) for pair in pairs)
    return (
        "<h2>Leaks across the splits</h2>"
        + _table("Counted", ["what", "number"], rows)
        + "<p>The most alike pictures in different splits, for you to look at. Small moles on much "
        "skin look alike to the hashes and are no leak; one lesion twice is.</p>"
        + (shown or "<p>None are alike.</p>")
    )


def _pair(prepared: "Prepared", left: int, right: int, bits: int) -> str:
    (one, _, split), (other, _, other_split) = prepared.rows[left], prepared.rows[right]
    names = f"{one.source} {one.image} ({split})<br>{other.source} {other.image} ({other_split})"
    caption = "<br>".join(escape(name) for name in names.split("<br>"))
    return (
        f"<figure>{_thumbnail(one)} {_thumbnail(other)}"
        f"<figcaption>{caption}<br>{bits} of 512 bits differ</figcaption></figure>"
    )


def _source(source: Source, prepared: "Prepared") -> str:
    kept = [i for i, (record, _, _) in enumerate(prepared.rows) if record.source == source.name]
    if not kept:
        return f"<h2>{escape(source.name)}</h2><p>No image of it was kept.</p>"
    records = [prepared.rows[i][0] for i in kept]
    splits = [prepared.rows[i][2] for i in kept]
    left_out = [f"<p>Left out, {escape(why)}: {n:,}</p>" for why, n in source.left_out.items()]
    return "\n".join(
        [
            f"<h2>{escape(source.name)}</h2>",
            *left_out,
            _diagnoses(records, splits),
            _differences(prepared, kept),
            *_patients(source, records),
            *(_examples(records, malignant) for malignant in (0, 1)),
        ]
    )


def _diagnoses(records: list[Record], splits: list[str]) -> str:
    counts = Counter(
        ((record.malignant, record.diagnosis), split)
        for record, split in zip(records, splits, strict=True)
    )
    rows = [
        [f"{name} ({_CLASSES[malignant]})", *(f"{counts[key, split]:,}" for split in SHARES)]
        for key in sorted({key for key, _ in counts}, reverse=True)
        for malignant, name in [key]
    ]
    return _table("Diagnoses", ["diagnosis", *SHARES], rows)


def _differences(prepared: "Prepared", kept: list[int]) -> str:
    """Size and colour of each class; a difference here can be learned in place of the lesion."""
    labels = np.array([prepared.rows[i][0].malignant for i in kept])
    sizes = np.array([prepared.prints[i].size for i in kept], float)
    colours = np.array([prepared.prints[i].colour for i in kept])
    measures = {
        "width, pixels": sizes[:, 0],
        "height, pixels": sizes[:, 1],
        "red, 0-255": colours[:, 0],
        "green, 0-255": colours[:, 1],
        "blue, 0-255": colours[:, 2],
    }
    rows = [
        [name, *(_spread(values[labels == label]) for label in (0, 1)), _telling(labels, values)]
        for name, values in measures.items()
    ]
    header = ["median (5th to 95th percentile)", *_CLASSES, "malignant has more"]
    return _table("Pictures of each class", header, rows) + (
        "<p>The last column is the share of pairs, one image of each class, in which the malignant "
        f"has more; 0.5 is no difference, {TELLING:g} away from it is marked.</p>"
    )


def _spread(values: np.ndarray) -> str:
    if not len(values):
        return "-"
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def _telling(labels: np.ndarray, values: np.ndarray) -> str:
    if len(set(labels.tolist())) < 2:
        return "-"
    share = float(roc_auc_score(labels, values))
    text = f"{share:.2f}"
    return f'<span class="telling">{text}</span>' if abs(share - 0.5) >= TELLING else text


def _patients(source: Source, records: list[Record]) -> list[str]:
    # A converted file no longer lies beside its set's table; the one it was listed with does.
    listed = {record.image: record.path for record in source.records}
    described = describe_patients(
        [
            Row(str(listed[record.image]), record.source, "", record.malignant, "", "")
            for record in records
        ]
    )
    tables = []
    for kind in ("age", "sex", "site", "skin tone"):
        counts = Counter(
            (one.get(kind, "not recorded"), record.malignant)
            for one, record in zip(described, records, strict=True)
        )
        values = sorted({value for value, _ in counts}, key=_order)
        if values == ["not recorded"]:
            tables.append(f"<p>{kind.capitalize()}: not recorded.</p>")
            continue
        rows = [
            [value, *(f"{counts[value, malignant]:,}" for malignant in (0, 1))] for value in values
        ]
        tables.append(_table(kind.capitalize(), [kind, *_CLASSES], rows))
    return tables


def _order(value: str) -> tuple[bool, bool, str]:
    """Bands of age in their order, "not recorded" last."""
    return value == "not recorded", not value.startswith("under"), value


def _examples(records: list[Record], malignant: int) -> str:
    """Pictures spread evenly over the class, in order of diagnosis and name."""
    members = sorted(
        (record for record in records if record.malignant == malignant),
        key=lambda record: (record.diagnosis, record.image),
    )
    places = np.linspace(0, len(members) - 1, min(EXAMPLES, len(members))).round().astype(int)
    figures = "".join(
        f"<figure>{_thumbnail(members[place])}"
        f"<figcaption>{escape(members[place].diagnosis)}</figcaption></figure>"
        for place in places
    )
    return f"<h3>{_CLASSES[malignant].capitalize()}</h3>{figures or '<p>None.</p>'}"


def _thumbnail(record: Record) -> str:
    assert record.path is not None
    picture = Image.fromarray(decode(record.path.read_bytes()))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    data = base64.b64encode(buffer.getvalue()).decode()
    name = escape(f"{record.source} {record.image}", quote=True)
    return f'<img alt="{name}" title="{name}" src="data:image/jpeg;base64,{data}">'


def _table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells that begin with a tag are HTML already, all others are escaped."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def _cell(text: str) -> str:
    return text if text.startswith('<span class="telling">') else escape(text)
