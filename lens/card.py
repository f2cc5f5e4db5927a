"""The card of a model file: what the file says of itself, as JSON inside it."""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any

from lens.images import SIZE

LABELS = ("benign", "malignant")

KINDS = ("clinical", "dermoscopic")
"""Kinds of photo: a close-up by a phone or camera, and one through a dermatoscope."""


@dataclass(frozen=True)
class OperatingPoint:
    """How the network's answers to one kind of photo become probabilities and verdicts.

    Attributes:
        threshold: calibrated p(malignant) at and above which the verdict is "malignant", 0-1.
        threshold_rule: how the threshold was chosen, in words.
        temperature: the logits are divided by it before the sigmoid (Guo et al. 2017).
        offset: added to the logits first (Platt 1999), beside the network's own bias.
        lesion_threshold: p(lesion) under which the verdict is "cannot judge"; None: not checked.
    """

    threshold: float = 0.5
    threshold_rule: str = ""
    temperature: float = 1.0
    offset: float = 0.0
    lesion_threshold: float | None = None

    def probability(self, logit: float) -> float:
        """Calibrated p(malignant) of the network's log-odds."""
        scaled = (logit + self.offset) / self.temperature
        return (1 + math.tanh(scaled / 2)) / 2  # The sigmoid, without its overflow.

    @property
    def threshold_logit(self) -> float:
        """The network's log-odds whose probability is the threshold."""
        odds = self.threshold / (1 - self.threshold)
        return self.temperature * math.log(odds) - self.offset


def for_all_kinds(point: OperatingPoint) -> dict[str, OperatingPoint]:
    """One operating point for photos of every kind."""
    return dict.fromkeys(KINDS, point)


@dataclass(frozen=True)
class Card:
    """What a model file says of itself.

    Attributes:
        name: the network's name, ``cnn7`` for ours.
        labels: words for probability 0 and 1.
        input_size: side of the square input in pixels.
        operating_points: one for each of ``KINDS``.
        views: 1, or 8 for the mean logit over the eight flips and quarter turns.
        margins: logits; a photo whose mean after two of eight views is further than the first from
            the threshold, or after four than the second, is looked at no more. Empty: all are.
        calibrated: whether the operating points were fitted on a validation split.
        training_data: images and malignant images per source and split.
        split_hashes: SHA-256 of each split's sorted image names.
        metrics: test figures with 95 % intervals, as ``training.evaluate`` wrote them.
        versions: of Python and the libraries that made the file.
        command: the command that made the file.
        created: ISO date.
    """

    name: str
    labels: tuple[str, str] = LABELS
    input_size: int = SIZE
    operating_points: dict[str, OperatingPoint] = field(
        default_factory=lambda: for_all_kinds(OperatingPoint())
    )
    views: int = 1
    margins: tuple[float, ...] = ()
    calibrated: bool = False
    training_data: dict[str, Any] = field(default_factory=dict)
    split_hashes: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    command: str = ""
    created: str = ""

    def point(self, kind: str | None) -> OperatingPoint:
        """The operating point for a kind of photo; None, not known, counts as clinical.

        Clinical photos are what visitors of the site send.
        """
        return self.operating_points[kind or "clinical"]

    @property
    def by_kind(self) -> bool:
        """Whether the kind of a photo matters to its verdict."""
        return len(self.distinct_points()) > 1

    def distinct_points(self) -> dict[str, OperatingPoint]:
        """The operating points to show to people: by kind, or a single one, for ``any``."""
        first, *others = self.operating_points.values()
        return {"any": first} if all(o == first for o in others) else self.operating_points


def to_json(card: Card) -> str:
    """The card as a model file holds it."""
    return json.dumps(dataclasses.asdict(card))


def from_json(text: str) -> Card:
    """The card in a model file.

    Raises:
        ValueError: it is damaged, or a verdict by it would be wrong; the message says why.
    """
    try:
        fields = json.loads(text)
        points = fields.pop("operating_points", None)
        if points is None:  # Files of version 0.1 have one operating point, not told by kind.
            names = [item.name for item in dataclasses.fields(OperatingPoint)]
            single = {name: fields.pop(name) for name in names if name in fields}
            points = dict.fromkeys(KINDS, single)
        card = Card(
            **{
                **fields,
                "labels": tuple(fields["labels"]),
                "margins": tuple(fields.get("margins", ())),
                "operating_points": {kind: OperatingPoint(**points[kind]) for kind in points},
            }
        )
        _check(card)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is damaged ({error})") from error
    return card


def _check(card: Card) -> None:
    """Refuse what would turn any photo into a verdict: NaN is below every threshold."""
    if card.labels != LABELS:
        raise ValueError(
            f"expected the labels {LABELS} in this order, got {card.labels}; a verdict would be "
            "the other way round, or unknown to the page"
        )
    if sorted(card.operating_points) != sorted(KINDS):
        raise ValueError(
            f"expected an operating point for each of {KINDS}, got {tuple(card.operating_points)}"
        )
    for point in card.operating_points.values():
        _check_point(point)
    fits = not card.margins or (len(card.margins) == 2 and card.views == 8)
    if card.views not in (1, 8):
        raise ValueError(f"expected 1 or 8 views, got {card.views}")
    if not fits or not all(0 <= margin < math.inf for margin in card.margins):
        raise ValueError(
            f"expected no margins, or two positive ones beside 8 views, got {card.margins} beside "
            f"{card.views}"
        )


def _check_point(point: OperatingPoint) -> None:
    if not 0 < point.threshold < 1:
        raise ValueError(f"expected a threshold between 0 and 1, got {point.threshold}")
    if not 0 < point.temperature < math.inf:
        raise ValueError(f"expected a positive temperature, got {point.temperature}")
    if not math.isfinite(point.offset):
        raise ValueError(f"expected a finite offset, got {point.offset}")
    if point.lesion_threshold is not None and not 0 <= point.lesion_threshold <= 1:
        raise ValueError(
            f"expected a lesion_threshold between 0 and 1, or none, got {point.lesion_threshold}"
        )
