"""The options of ``training.reproduce``. This module does not import Keras."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ReproduceOptions:
    """The options of ``training.reproduce``.

    Attributes:
        manifest: lists the images.
        out: folder for the runs.
        report: the file to write the report to.
        compare: model files to test on the same images.
        epochs: total number of epochs of the three stages.
        images: maximum number of images in a training set (with validation) and in a test set;
            None for all.
        seed: seed of the choice of images and of the training.
    """

    manifest: Path
    out: Path
    report: Path
    compare: list[Path]
    epochs: int
    images: int | None
    seed: int
