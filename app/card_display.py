"""Numbers as people read them: of a result, and of the model's card."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask_babel import format_decimal
from flask_babel import gettext as _

_BOUNDS = (("low", "high"), ("lower", "upper"), ("ci_low", "ci_high"))
_INTERVALS = ("interval", "ci", "ci95", "interval_95")

_SETS = {
    "ham10000": "HAM10000",
    "isic2019": "ISIC 2019",
    "siim2020": "SIIM-ISIC 2020",
    "pad_ufes": "PAD-UFES-20",
}


@dataclass(frozen=True)
class Figure:
    """A measured value with its 95 % interval where one is known."""

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
    """A value between 0 and 1 with three decimals, as the page's language writes them."""
    return format_decimal(value, "0.000")


def figure(entry: Any) -> Figure | None:
    """A card's figure in any of the shapes that trainers write, or None.

    0.9, [0.9, 0.85, 0.95], {"value": 0.9, "low": 0.85, "high": 0.95} and
    {"value": 0.9, "interval": [0.85, 0.95]} are understood.
    """
    if isinstance(entry, dict):
        value, (low, high) = entry.get("value"), _interval(entry)
    elif isinstance(entry, list | tuple) and len(entry) == 3:
        value, low, high = entry
    else:
        value, low, high = entry, None, None
    value, low, high = (_number(item) for item in (value, low, high))
    if value is None:
        return None
    return Figure(value) if low is None or high is None else Figure(value, low, high)


def _interval(entry: dict[str, Any]) -> tuple[Any, Any]:
    for name in _INTERVALS:
        if isinstance(entry.get(name), list | tuple) and len(entry[name]) == 2:
            return entry[name][0], entry[name][1]
    for low, high in _BOUNDS:
        if low in entry:
            return entry[low], entry.get(high)
    return None, None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def found(metrics: dict[str, Any], name: str) -> Figure | None:
    """The figure called ``name``: at the top of the card's metrics, or in its pooled test part."""
    for part in (metrics, *_parts(metrics)):
        if got := figure(part.get(name)):
            return got
    return None


def by_source(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The test part of each source that the card tells apart, without the pooled one."""
    test = metrics.get("test")
    parts = test if isinstance(test, dict) else {}
    return {
        name: part
        for name, part in parts.items()
        if name != "pooled" and isinstance(part, dict) and figure(part.get("auc"))
    }


def source_name(source: str) -> str:
    """A source of the card as its owners, or people, call it."""
    if source == "pooled_dermoscopy":
        return _("Dermoscopy, all sources")
    return _SETS.get(source, source)


def images(training_data: dict[str, Any]) -> dict[str, dict[str, tuple[int, int]]]:
    """Images and malignant images by source and split, where the card counts them so."""
    counts = training_data.get("images_and_malignant")
    table: dict[str, dict[str, tuple[int, int]]] = {}
    for source, splits in (counts if isinstance(counts, dict) else {}).items():
        for split, pair in (splits if isinstance(splits, dict) else {}).items():
            if isinstance(pair, list | tuple) and len(pair) == 2:
                table.setdefault(source, {})[split] = (int(pair[0]), int(pair[1]))
    return table


def _parts(metrics: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in (("test",), ("pooled",), ("test", "pooled"), ("pooled", "test")):
        part: Any = metrics
        for key in path:
            part = part.get(key) if isinstance(part, dict) else None
        if isinstance(part, dict):
            yield part
