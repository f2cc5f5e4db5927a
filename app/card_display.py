"""Format the figures of a result and of the model's card for people."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from flask_babel import format_decimal
from flask_babel import gettext as _

from lens.card import Metrics, TrainingData

_DATA_SET_NAMES = {
    "ham10000": "HAM10000",
    "isic2019": "ISIC 2019",
    "siim2020": "SIIM-ISIC 2020",
    "pad_ufes": "PAD-UFES-20",
    "milk10k": "MILK10k",
    "melanoma10k": "10,000 melanomas",
}

_SOURCE_FIGURES = ("auc", "sensitivity", "specificity")
_MAIN_FIGURES = (*_SOURCE_FIGURES, "accuracy")


@dataclass(frozen=True)
class Figure:
    """A measured value, with its 95 % interval if one is known."""

    value: float
    low: float | None = None
    high: float | None = None


def of_100(probability: float) -> str:
    """A probability as a count out of 100, in words; never "0" or "100"."""
    return _in_words(round(100 * probability))


def _in_words(count: float) -> str:
    """A number out of 100, in words."""
    if count < 1:
        return _("fewer than 1")
    if count > 99:
        return _("more than 99")
    return _("about %(count)s", count=_decimal(count))


def counts_beside(probability: float, threshold: float) -> tuple[str, str]:
    """A probability out of 100, in words, and the threshold out of 100."""
    count, limit = _comparable(100 * probability, 100 * threshold, 0, 1)
    return _in_words(count), _decimal(limit)


def scores_beside(score: float, threshold: float, digits: int = 2) -> tuple[str, str]:
    """A score or probability, 0-1, and the threshold; with more digits if they need them."""
    shown, limit = _comparable(score, threshold, digits, digits)
    return _decimal(shown), _decimal(limit)


def _comparable(
    value: float, threshold: float, digits: int, threshold_digits: int
) -> tuple[float, float]:
    """Round both, to more digits if they would otherwise not compare as the exact values do.

    Otherwise 0.2765 and its threshold 0.27702 would be shown as 28 and 27.7 of 100, below the
    verdict "benign".
    """
    shown = value, threshold
    for more in range(7):
        last = digits + more
        shown = round(value, last), round(threshold, max(last, threshold_digits))
        if (shown[0] >= shown[1]) == (value >= threshold):
            break
    return shown


def _decimal(number: float) -> str:
    """Format a number in the notation of the page's language, with all its digits."""
    text: str = format_decimal(number, "0.######")
    return text


def three_decimals(value: float) -> str:
    """Format a value between 0 and 1 in the notation of the page's language."""
    return format_decimal(value, "0.000")


def _figure(entry: object) -> Figure | None:
    """Read a figure of the card: a number, or a list of value, low and high; else None."""
    numbers = entry if isinstance(entry, list) else [entry]
    if len(numbers) not in (1, 3) or not all(map(_is_number, numbers)):
        return None
    return Figure(*map(float, numbers))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def card_figure(metrics: Metrics, name: str, kind: str | None = None) -> Figure | None:
    """The figure ``name`` for this kind of photo if the card has it, else for all photos."""
    test = metrics.get("test")
    parts = (_part(test, kind), _part(test, "pooled"), metrics)
    return next((found for part in parts if (found := _figure(part.get(name)))), None)


def main_figures(metrics: Metrics) -> tuple[str | None, dict[str, Figure]]:
    """The figures to show first: of close-ups, which visitors send, else of all photos.

    Returns:
        The kind of photo, None for all, and the figures by name.
    """
    part = _part(metrics.get("test"), "clinical")
    if _figure(part.get("auc")):
        figures = {name: _figure(part.get(name)) for name in _MAIN_FIGURES}
        found = _part(metrics.get("melanomas"), "clinical").get("found")
        figures["melanomas_found"] = _figure(found)
        kind = "clinical"
    else:
        kind = None
        figures = {name: card_figure(metrics, name) for name in (*_MAIN_FIGURES, "ece")}
    return kind, {name: figure for name, figure in figures.items() if figure}


def melanomas_found(metrics: Metrics, kind: str | None) -> float | None:
    """The share of melanomas found in test photos: of this kind if the card has it, else of all."""
    parts = (_part(metrics.get("melanomas"), name) for name in (kind, "pooled"))
    return next((found.value for part in parts if (found := _figure(part.get("found")))), None)


def _part(table: object, name: str | None) -> Mapping[str, object]:
    """A part of a table in the card; {} if it is missing or damaged."""
    part = table.get(name) if isinstance(table, dict) else None
    return part if isinstance(part, dict) else {}


def by_source(metrics: Metrics) -> dict[str, dict[str, Figure | None]]:
    """AUC, sensitivity and specificity by kind of photo and by data set."""
    test = metrics.get("test")
    figures = {
        source: {name: _figure(_part(test, source).get(name)) for name in _SOURCE_FIGURES}
        for source in (test if isinstance(test, dict) else ())
        if source != "pooled"
    }
    return {source: part for source, part in figures.items() if part["auc"]}


def source_name(source: str) -> str:
    """A readable name for a data set or a kind of photo in the card."""
    kinds = {"clinical": _("Close-ups by phone or camera"), "dermoscopic": _("Dermoscopy")}
    if source in kinds:
        return kinds[source]
    name, _space, kind = source.partition(" ")
    set_name = _DATA_SET_NAMES.get(name, name)
    return f"{set_name}: {kinds[kind]}" if kind in kinds else set_name


def image_counts(training_data: TrainingData) -> dict[str, dict[str, tuple[int, int]]]:
    """Counts of images and malignant images by source and split, if the card has them."""
    counts: object = training_data.get("images_and_malignant")
    table: dict[str, dict[str, tuple[int, int]]] = {}
    for source, splits in (counts if isinstance(counts, dict) else {}).items():
        for split, pair in (splits if isinstance(splits, dict) else {}).items():
            if isinstance(pair, list) and len(pair) == 2:
                table.setdefault(source, {})[split] = (int(pair[0]), int(pair[1]))
    return table
