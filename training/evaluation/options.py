"""What ``training.evaluate`` is asked for; importable without a network."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of ``training.evaluate``.

    Attributes:
        model: a model file; the figures are stored in its card.
        manifest: its test split is measured, and that of ``not_lesion.csv`` beside it.
        out: where figures.json and the pictures go.
        subset: lesions on which changed photos and the heat map are tried.
        seed: of the subset and the intervals.
    """

    model: Path
    manifest: Path
    out: Path
    subset: int
    seed: int
