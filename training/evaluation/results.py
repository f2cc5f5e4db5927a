"""The report of ``training.evaluate``, as stored in figures.json."""

from typing import TypedDict

from lens.card import MelanomasFound
from training.evaluation.metrics import Figures, Interval


class VerdictChange(TypedDict):
    """How often the verdict changes with the photo; "cannot judge" counts as a verdict.

    Attributes:
        photos: number of photos tested.
        changed: share of photos whose verdict changes.
        malignant_to_benign, to_cannot_judge: number of photos with this change.
    """

    photos: int
    changed: Interval | None
    malignant_to_benign: int
    to_cannot_judge: int


class HeatMapCheck(TypedDict):
    """Whether the heat map shows where the network looks.

    Attributes:
        photos: number of photos tested.
        hottest: mean absolute change of p(malignant) when the heat map's hottest tenth is covered.
        random: the same for random tenths.
        hottest_larger: share of photos where the hottest tenth causes a larger change than random
            tenths do on average.
    """

    photos: int
    hottest: float
    random: float
    hottest_larger: Interval | None


class ModelSummary(TypedDict):
    """The evaluated model.

    Attributes:
        name, calibrated, operating_points, views: fields of the card.
        engine: what ran the network.
        mean_views: mean number of views used for a verdict.
    """

    name: str
    calibrated: bool
    operating_points: dict[str, dict[str, object]]
    views: int
    engine: str
    mean_views: float


class Report(TypedDict):
    """All results. A part is all photos, one kind of photo, or one source.

    Attributes:
        model: the model and the settings that determine its verdicts.
        split_as_trained: whether the test split is the one set aside in training; None if the card
            does not say.
        resamples: number of resamples for each interval.
        seed: seed of the subset, the random tenths and the intervals.
        test: metrics by part.
        melanomas: melanomas found by part.
        diagnoses: correct verdicts and total by diagnosis.
        patients: metrics by trait and value, such as "sex" and "female".
        refused: share without a verdict, by part.
        others_refused: share of the photos without a lesion that got no verdict, by source.
        reasons: how often each reason was given for refusing a lesion.
        lesion_masked: AUC with the lesion hidden, by part.
        verdict_changes: how often the verdict changes, by change of the photo.
        heat_map: None if the network has no heat map.
    """

    model: ModelSummary
    split_as_trained: bool | None
    resamples: int
    seed: int
    test: dict[str, Figures]
    melanomas: dict[str, MelanomasFound]
    diagnoses: dict[str, list[int]]
    patients: dict[str, dict[str, Figures]]
    refused: dict[str, Interval | None]
    others_refused: dict[str, Interval | None]
    reasons: dict[str, int]
    lesion_masked: dict[str, Interval | None]
    verdict_changes: dict[str, VerdictChange]
    heat_map: HeatMapCheck | None
