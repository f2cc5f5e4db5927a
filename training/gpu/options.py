"""The options of ``training.train_gpu``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GpuOptions:
    """The options of ``training.train_gpu``.

    Attributes:
        manifest: the images.
        out: the folder for finished phases and models.
        minutes: duration of all phases together, with decoding and validation.
        recipe: a name in ``RECIPES``.
        seed: seed of the initial weights and the views.
        command: the command line, for the cards.
    """

    manifest: Path
    out: Path
    minutes: float
    recipe: str
    seed: int
    command: str
