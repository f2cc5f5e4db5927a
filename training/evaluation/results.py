"""The report of ``training.evaluate``, as figures.json holds it."""

from typing import Any, TypedDict

from training.evaluation.metrics import Figures, Interval


class MelanomasFound(TypedDict):
    """Melanomas among some photos, and the share of them called malignant."""

    n: int
    found: Interval | None


class VerdictChange(TypedDict):
    """How often the verdict changes with the photo, "cannot judge" counting as a verdict."""

    photos: int
    changed: Interval | None
    malignant_to_benign: int
    to_cannot_judge: int


class HeatMapCheck(TypedDict):
    """Whether the heat map shows where the network looks.

    Attributes:
        photos: tried.
        hottest: mean change of p(malignant) when the heat map's hottest tenth is covered.
        random: the same for random tenths.
        hottest_larger: share of photos where the hottest tenth changes it more.
    """

    photos: int
    hottest: float
    random: float
    hottest_larger: Interval | None


class Report(TypedDict):
    """Everything that was measured; a part is all photos, one kind, or one source.

    Attributes:
        model: the card's fields that decide a verdict, the engine, and the mean number of views.
        split_as_trained: whether the test split is the one set aside in training; None if the card
            does not say.
        resamples: behind each interval.
        seed: of the subset and the intervals.
        test: by part.
        melanomas: by part.
        diagnoses: right and total.
        patients: by property and value, such as "sex" and "female".
        refused: share without a verdict, by part and by source of other photographs.
        reasons: how often each reason was given for refusing a lesion.
        lesion_masked: AUC with the lesion hidden, by kind of photo and by source.
        verdict_changes: by change of the photo.
        heat_map: None for a network without one.
    """

    model: dict[str, Any]
    split_as_trained: bool | None
    resamples: int
    seed: int
    test: dict[str, Figures]
    melanomas: dict[str, MelanomasFound]
    diagnoses: dict[str, list[int]]
    patients: dict[str, dict[str, Figures]]
    refused: dict[str, Interval | None]
    reasons: dict[str, int]
    lesion_masked: dict[str, Interval | None]
    verdict_changes: dict[str, VerdictChange]
    heat_map: HeatMapCheck | None
