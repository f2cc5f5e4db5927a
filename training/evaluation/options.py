"""The options of ``training.evaluate``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of ``training.evaluate``.

    Attributes:
        model: a model file; the figures are stored in its card.
        manifest: its test split is evaluated, and that of ``not_lesion.csv`` beside it.
        out: where figures.json and the pictures go.
        subset: number of lesions for the tests with changed photos and of the heat map.
        seed: seed of the subset and the intervals.
    """

    model: Path
    manifest: Path
    out: Path
    subset: int
    seed: int
