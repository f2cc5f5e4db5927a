"""Write the data report: a page about a manifest, with example pictures, for whoever trains on it.

The terms of the data sets forbid passing their pictures on, so the page is written beside the
manifest, in a folder that is never committed.
"""

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from lens.images import decode
from training.datasets.build import Assigned, Prepared
from training.datasets.demographics import describe_patients
from training.datasets.duplicates import closest_across
from training.datasets.fingerprints import Fingerprint
from training.datasets.manifest import KINDS, Row
from training.datasets.records import Record, Source
from training.datasets.splits import SHARES

EXAMPLES = 6
"""Maximum number of pictures shown for each class of a source."""
CLOSEST_PAIRS = 12
"""Maximum number of pairs of similar pictures in different splits to show."""
THUMBNAIL_PIXELS = 112
MARKED_AUC_DISTANCE = 0.1
"""A difference between the classes is marked if its AUC is at least this far from 0.5."""
NOT_RECORDED = "not recorded"

CLASSES = ("benign", "malignant")
OVERVIEW = (
    *("source", "listed", "absent", "other files", "left out", "duplicates"),
    *("contradictory copies", "kept", "malignant"),
)


@dataclass(frozen=True)
class Table:
    """A table of the page. ``marked`` are the indices of rows whose last cell is highlighted."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: frozenset[int] = frozenset()
    note: str = ""


@dataclass(frozen=True)
class Section:
    """The section on one source and one kind of photo.

    Attributes:
        left_out: reasons for leaving out images or files, each with their names.
        not_recorded: traits of the patients that the set does not record.
        examples: some records of each class; empty if no image was kept.
    """

    title: str
    left_out: Sequence[tuple[str, list[str]]] = ()
    tables: Sequence[Table] = ()
    not_recorded: Sequence[str] = ()
    examples: Sequence[tuple[str, list[Record]]] = ()


def write_data_report(sources: list[Source], prepared: Prepared, path: Path) -> None:
    """Write the page as one file that contains its pictures.

    Args:
        sources: the data sets as they were read, before any DICOM file was converted.
        prepared: the images that were kept.
        path: the file to write.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["thumbnail"] = _thumbnail
    rows, splits = prepared.rows, [row.split for row in prepared.rows]
    pairs = closest_across([each.hashes for each in prepared.fingerprints], splits, CLOSEST_PAIRS)
    page = environment.get_template("report.html").render(
        overview=_overview(sources, prepared),
        unfit=prepared.unfit,
        kinds=_kinds(prepared),
        leaks=_leaks(prepared),
        pairs=[(rows[left], rows[right], bits) for left, right, bits in pairs],
        sections=[
            _section(source, kind, prepared)
            for source in sources
            for kind in KINDS
            if any(record.kind == kind for record in source.records)
        ],
    )
    path.write_text(page, encoding="utf-8")


def _overview(sources: list[Source], prepared: Prepared) -> Table:
    rows = []
    for source in sources:
        kept = [row.record.malignant for row in prepared.rows if row.record.source == source.name]
        counts = (
            len(source.records),
            len(source.absent),
            sum(map(len, source.ignored.values())),
            sum(map(len, source.left_out.values())),
            prepared.duplicates[source.name],
            prepared.contradictory[source.name],
            len(kept),
        )
        share = f"{sum(kept) / len(kept):.1%}" if kept else "-"
        rows.append([source.name, *(f"{count:,}" for count in counts), share])
    return Table("Images", OVERVIEW, rows)


def _kinds(prepared: Prepared) -> Table:
    images = Counter((row.record.kind, row.split) for row in prepared.rows)
    malignant = Counter((r.record.kind, r.split) for r in prepared.rows if r.record.malignant)
    rows = [
        [kind, *(f"{images[kind, split]:,} ({malignant[kind, split]:,})" for split in SHARES)]
        for kind in KINDS
        if any(images[kind, split] for split in SHARES)
    ]
    return Table("By kind of photo: images (malignant)", ["kind", *SHARES], rows)


def _leaks(prepared: Prepared) -> Table:
    groups = {(row.group, row.split) for row in prepared.rows}
    digests = [each.digest for each in prepared.fingerprints]
    pictures = {(digest, row.split) for digest, row in zip(digests, prepared.rows, strict=True)}
    split_groups = len(groups) - len({group for group, _ in groups})
    split_pictures = len(pictures) - len(set(digests))
    rows = [
        ["lesions or patients in more than one split", f"{split_groups:,}"],
        ["pictures with equal pixels in more than one split", f"{split_pictures:,}"],
        ["groups joined because of a duplicate or near-duplicate", f"{prepared.merged:,}"],
    ]
    return Table("Checks", ["check", "number"], rows)


def _section(source: Source, kind: str, prepared: Prepared) -> Section:
    title = f"{source.name}, {kind}"
    kept = [
        (row, fingerprint)
        for row, fingerprint in zip(prepared.rows, prepared.fingerprints, strict=True)
        if (row.record.source, row.record.kind) == (source.name, kind)
    ]
    if not kept:
        return Section(title)
    rows = [row for row, _ in kept]
    records = [row.record for row in rows]
    patients, not_recorded = _patients(source, records)
    return Section(
        title,
        [*source.left_out.items(), *source.ignored.items()],
        [_diagnoses(rows), _differences(records, [each for _, each in kept]), *patients],
        not_recorded,
        [(name, _examples(records, malignant)) for malignant, name in enumerate(CLASSES)],
    )


def _diagnoses(rows: list[Assigned]) -> Table:
    counts = Counter(((r.record.malignant, r.record.diagnosis), r.split) for r in rows)
    cells = [
        [f"{name} ({CLASSES[malignant]})", *(f"{counts[(malignant, name), s]:,}" for s in SHARES)]
        for malignant, name in sorted({label for label, _ in counts}, reverse=True)
    ]
    return Table("Diagnoses", ["diagnosis", *SHARES], cells)


def _differences(records: list[Record], fingerprints: list[Fingerprint]) -> Table:
    """Size and colour by class. A network can learn such a difference instead of the lesion."""
    labels = np.array([record.malignant for record in records])
    measures = {
        "width, pixels": [each.size[0] for each in fingerprints],
        "height, pixels": [each.size[1] for each in fingerprints],
        "red, 0-255": [each.colour[0] for each in fingerprints],
        "green, 0-255": [each.colour[1] for each in fingerprints],
        "blue, 0-255": [each.colour[2] for each in fingerprints],
    }
    rows: list[list[str]] = []
    marked = set()
    for name, numbers in measures.items():
        values = np.array(numbers, float)
        auc = float(roc_auc_score(labels, values)) if len(set(labels.tolist())) == 2 else None
        if auc is not None and abs(auc - 0.5) >= MARKED_AUC_DISTANCE:
            marked.add(len(rows))
        spreads = [_spread(values[labels == label]) for label in (0, 1)]
        rows.append([name, *spreads, "-" if auc is None else f"{auc:.2f}"])
    note = (
        "AUC is the share of pairs, one image of each class, in which the malignant image has the "
        "higher value. 0.5 means no difference; values at least "
        f"{MARKED_AUC_DISTANCE:g} away from it are marked."
    )
    header = ["median (5th to 95th percentile)", *CLASSES, "AUC"]
    return Table("Pictures of each class", header, rows, frozenset(marked), note)


def _spread(values: np.ndarray) -> str:
    """Median, with the 5th and 95th percentile."""
    if not len(values):
        return "-"
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"{middle:.0f} ({low:.0f} to {high:.0f})"


def _patients(source: Source, records: list[Record]) -> tuple[list[Table], list[str]]:
    """A table for each recorded trait of the patients, and the traits that are not recorded."""
    # The table is near the original file, not near a PNG converted from DICOM.
    listed = {record.image: str(record.path) for record in source.records}
    described = describe_patients(
        Row(listed[record.image], record.source, "", record.malignant, "", "") for record in records
    )
    tables, not_recorded = [], []
    for trait in ("age", "sex", "site", "skin tone"):
        counts = Counter(
            (patient.get(trait, NOT_RECORDED), record.malignant)
            for patient, record in zip(described, records, strict=True)
        )
        values = sorted({value for value, _ in counts}, key=_trait_order)
        if values == [NOT_RECORDED]:
            not_recorded.append(trait)
            continue
        rows = [[value, *(f"{counts[value, label]:,}" for label in (0, 1))] for value in values]
        tables.append(Table(trait.capitalize(), [trait, *CLASSES], rows))
    return tables, not_recorded


def _trait_order(value: str) -> tuple[bool, bool, str]:
    """Sort key: age bands in ascending order, "not recorded" last."""
    return value == NOT_RECORDED, not value.startswith("under"), value


def _examples(records: list[Record], malignant: int) -> list[Record]:
    """Some records of a class, evenly spaced in the order of diagnosis and name."""
    members = sorted(
        (record for record in records if record.malignant == malignant),
        key=lambda record: (record.diagnosis, record.image),
    )
    chosen = np.linspace(0, len(members) - 1, min(EXAMPLES, len(members))).round().astype(int)
    return [members[index] for index in chosen]


def _thumbnail(record: Record) -> str:
    """The image as a small JPEG in a data URL."""
    assert record.path is not None
    picture = Image.fromarray(decode(record.path.read_bytes()))
    picture.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
