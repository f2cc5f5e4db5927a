"""What ``training.reproduce`` is asked for; importable without Keras."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReproduceOptions:
    """The options of ``training.reproduce``.

    Attributes:
        manifest: the images.
        out: where the runs are kept.
        report: the page to write.
        compare: model files to test on the same images.
        epochs: of the three stages together.
        images: to train on, and at most to test on; None for all.
        seed: of the images drawn and of the training.
    """

    manifest: Path
    out: Path
    report: Path
    compare: list[Path]
    epochs: int
    images: int | None
    seed: int
