"""The model card: metadata that a model file carries inside it, as JSON."""

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import TypedDict

from lens.images import SIZE

LABELS = ("benign", "malignant")

PHOTO_KINDS = ("clinical", "dermoscopic")
"""Kinds of photo: a close-up by a phone or camera, or one taken through a dermatoscope."""


@dataclass(frozen=True)
class OperatingPoint:
    """How the network's output for one kind of photo becomes a probability and a verdict.

    Attributes:
        threshold: the verdict is "malignant" at and above this calibrated p(malignant), 0-1.
        threshold_rule: how the threshold was chosen, in words.
        temperature: divides the logits before the sigmoid (Guo et al. 2017).
        offset: added to the logits before that (Platt 1999).
        lesion_threshold: a photo with a lower p(lesion) cannot be judged; None: not checked.
    """

    threshold: float = 0.5
    threshold_rule: str = ""
    temperature: float = 1.0
    offset: float = 0.0
    lesion_threshold: float | None = None

    def probability(self, logit: float) -> float:
        """Calibrated p(malignant) for a logit of the network."""
        scaled = (logit + self.offset) / self.temperature
        return (1 + math.tanh(scaled / 2)) / 2  # A sigmoid that cannot overflow.

    @property
    def threshold_logit(self) -> float:
        """The logit of the network at which the probability equals the threshold."""
        odds = self.threshold / (1 - self.threshold)
        return self.temperature * math.log(odds) - self.offset


class TrainingData(TypedDict, total=False):
    """What a network was trained on.

    Attributes:
        images_and_malignant: counts of images and of malignant images, by source and split.
        recipe: name of the recipe.
        changed: settings that differ from those of the recipe.
    """

    images_and_malignant: dict[str, dict[str, list[int]]]
    recipe: str
    changed: dict[str, str]


class PhotoFigures(TypedDict):
    """Figures for a set of test photos: value and 95 % interval; None if a class is missing."""

    n: int
    malignant: int
    auc: list[float] | None
    sensitivity: list[float] | None
    specificity: list[float] | None
    accuracy: list[float] | None


class MelanomasFound(TypedDict):
    """The number of melanomas in a set of photos, and the share that was called malignant."""

    n: int
    found: list[float] | None


class Metrics(TypedDict, total=False):
    """Test results by kind of photo and by source, and "pooled" for all photos."""

    test: dict[str, PhotoFigures]
    melanomas: dict[str, MelanomasFound]
    ece: float | None


def for_all_kinds(point: OperatingPoint) -> dict[str, OperatingPoint]:
    """One operating point for photos of every kind."""
    return dict.fromkeys(PHOTO_KINDS, point)


@dataclass(frozen=True)
class Card:
    """Metadata of a model file.

    Attributes:
        name: the network's name, such as ``cnn7``.
        labels: the verdicts for probability 0 and 1.
        input_size: side of the square input in pixels.
        operating_points: one for each of ``PHOTO_KINDS``.
        views: 1, or 8 for the mean logit over all flips and quarter turns.
        margins: two distances from the threshold, in logits. The remaining views are skipped if,
            after two of eight views, the mean is further away than the first margin, or after four
            views further than the second. Empty: no views are skipped.
        calibrated: whether the operating points were fitted on a validation split.
        training_data: what the network was trained on.
        split_hashes: SHA-256 of each split's sorted image names.
        metrics: test results, as ``training.evaluate`` writes them.
        versions: versions of Python and the libraries that made the file.
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
    training_data: TrainingData = field(default_factory=TrainingData)
    split_hashes: dict[str, str] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    versions: dict[str, str] = field(default_factory=dict)
    command: str = ""
    created: str = ""

    def point(self, kind: str | None) -> OperatingPoint:
        """The operating point for a kind of photo.

        None (unknown) counts as clinical, the kind that users of the site send.
        """
        return self.operating_points[kind or "clinical"]

    @property
    def by_kind(self) -> bool:
        """Whether the kinds of photo have different operating points."""
        return len(self.distinct_points()) > 1

    def distinct_points(self) -> dict[str, OperatingPoint]:
        """The operating points by kind; or a single one, named "any", if they are equal."""
        first, *others = self.operating_points.values()
        return {"any": first} if all(o == first for o in others) else self.operating_points


def to_json(card: Card) -> str:
    """The card as JSON, for a model file."""
    return json.dumps(dataclasses.asdict(card))


def from_json(text: str) -> Card:
    """Read the card of a model file.

    Raises:
        ValueError: the card is damaged, or would lead to wrong verdicts; the message says why.
    """
    try:
        fields = json.loads(text)
        points = fields.pop("operating_points", None)
        if points is None:  # Version 0.1 stored one operating point for all kinds of photo.
            names = [item.name for item in dataclasses.fields(OperatingPoint)]
            single = {name: fields.pop(name) for name in names if name in fields}
            points = dict.fromkeys(PHOTO_KINDS, single)
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
    """Refuse values that would give wrong verdicts, such as a threshold of NaN."""
    if card.labels != LABELS:
        raise ValueError(
            f"expected the labels {LABELS} in this order, got {card.labels}; verdicts would be "
            "reversed, or unknown to the page"
        )
    if sorted(card.operating_points) != sorted(PHOTO_KINDS):
        raise ValueError(
            f"expected an operating point for each of {PHOTO_KINDS}, "
            f"got {tuple(card.operating_points)}"
        )
    for point in card.operating_points.values():
        _check_point(point)
    if card.views not in (1, 8):
        raise ValueError(f"expected 1 or 8 views, got {card.views}")
    count_fits = not card.margins or (len(card.margins) == 2 and card.views == 8)
    if not count_fits or not all(0 <= margin < math.inf for margin in card.margins):
        raise ValueError(
            f"expected no margins, or 8 views and two margins of at least 0, got {card.views} "
            f"views and the margins {card.margins}"
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
