"""Show numbers to people: those of a result, and those of the model's card."""

import math
from dataclasses import dataclass
from typing import Any

from flask_babel import format_decimal
from flask_babel import gettext as _

_SETS = {
    "ham10000": "HAM10000",
    "isic2019": "ISIC 2019",
    "siim2020": "SIIM-ISIC 2020",
    "pad_ufes": "PAD-UFES-20",
    "milk10k": "MILK10k",
    "melanoma10k": "10,000 melanomas",
}


@dataclass(frozen=True)
class Figure:
    """A measured value, with its 95 % interval if one is known."""

    value: float
    low: float | None = None
    high: float | None = None


def of_100(probability: float) -> str:
    """A probability as a count out of 100, in words that never say none or all."""
    count = round(100 * probability)
    if count < 1:
        return _("fewer than 1")
    if count > 99:
        return _("more than 99")
    return _("about %(count)s", count=format_decimal(count))


def fixed(value: float) -> str:
    """A value between 0 and 1 with three decimals, in the notation of the page's language."""
    return format_decimal(value, "0.000")


def figure(entry: Any) -> Figure | None:
    """A figure of the card, which is a number, or a list of value, low and high; else None."""
    numbers = entry if isinstance(entry, list) else [entry]
    if len(numbers) not in (1, 3) or not all(map(_is_number, numbers)):
        return None
    return Figure(*map(float, numbers))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def card_figure(metrics: dict[str, Any], name: str, kind: str | None = None) -> Figure | None:
    """The figure ``name`` for this kind of photo if the card has it, else for all photos."""
    parts = (_part(metrics, "test", kind), _part(metrics, "test", "pooled"), metrics)
    return next((found for part in parts if (found := figure(part.get(name)))), None)


def melanomas_found(metrics: dict[str, Any], kind: str | None) -> float | None:
    """The share of melanomas found in test photos: of this kind if the card has it, else of all."""
    parts = (_part(metrics, "melanomas", kind), _part(metrics, "melanomas", "pooled"))
    return next((found.value for part in parts if (found := figure(part.get("found")))), None)


def _part(metrics: dict[str, Any], table: str, name: str | None) -> dict[str, Any]:
    """A part of a table in the card's metrics, which may be damaged; {} if it is missing."""
    parts = metrics.get(table)
    part = parts.get(name) if isinstance(parts, dict) else None
    return part if isinstance(part, dict) else {}


def by_source(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The test figures by kind of photo and by data set."""
    test = metrics.get("test")
    names = test if isinstance(test, dict) else {}
    parts = {name: _part(metrics, "test", name) for name in names if name != "pooled"}
    return {name: part for name, part in parts.items() if figure(part.get("auc"))}


def source_name(source: str) -> str:
    """The name of a part of the card for people, as its owners call a data set."""
    kinds = {"clinical": _("Close-ups by phone or camera"), "dermoscopic": _("Dermoscopy")}
    if source in kinds:
        return kinds[source]
    name, _space, kind = source.partition(" ")
    return f"{_SETS.get(name, name)}: {kinds[kind]}" if kind in kinds else _SETS.get(name, name)


def images(training_data: dict[str, Any]) -> dict[str, dict[str, tuple[int, int]]]:
    """Counts of images and malignant images by source and split, if the card has them."""
    counts = training_data.get("images_and_malignant")
    table: dict[str, dict[str, tuple[int, int]]] = {}
    for source, splits in (counts if isinstance(counts, dict) else {}).items():
        for split, pair in (splits if isinstance(splits, dict) else {}).items():
            if isinstance(pair, list) and len(pair) == 2:
                table.setdefault(source, {})[split] = (int(pair[0]), int(pair[1]))
    return table
