"""The options of the commands that fit a network. This module does not import Keras."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from training.fit.overrides import override
from training.fit.recipes import RECIPES, Recipe

IMAGENET = "imagenet"
"""Value of ``--teacher`` for a teacher with ImageNet weights that was not trained on lesions."""


@dataclass(frozen=True)
class TrainOptions:
    """The options of ``training.train``, which its ``--help`` explains.

    ``overrides`` are the values of ``--set``. ``command`` is the command line without ``--resume``,
    for the card.
    """

    manifest: Path
    out: Path
    network: str
    recipe: str
    overrides: tuple[str, ...]
    optimizer: str | None
    epochs: int | None
    teacher: str | None
    start: Path | None
    resume: bool
    seed: int
    command: str

    def full_recipe(self) -> Recipe:
        """The recipe with all changes from the options.

        Raises:
            OverrideError: a setting does not exist, or its value is not allowed.
        """
        recipe = override(RECIPES[self.recipe], self.overrides)
        return dataclasses.replace(
            recipe,
            optimizer=self.optimizer or recipe.optimizer,
            epochs=self.epochs or recipe.epochs,
        )

    def teacher_file(self) -> Path | None:
        """The teacher's model file, if there is one."""
        return Path(self.teacher) if self.teacher and self.teacher != IMAGENET else None

    def parents(self) -> list[Path]:
        """The models that this one starts from or learns from."""
        return [path for path in (self.start, self.teacher_file()) if path]


@dataclass(frozen=True)
class RecalibrateOptions:
    """The options of ``training.recalibrate``; ``command`` is its command line, for the card."""

    model: Path
    out: Path
    manifest: Path
    seed: int
    command: str


@dataclass(frozen=True)
class SearchOptions:
    """The options of ``training.tune``.

    ``FILE.best`` is written beside the study, and the checkpoints of each trial to the folder
    ``FILE.trials``. ``training`` are the options of each trial without the searched values, and
    ``arguments`` the same as arguments of ``training.train``.
    """

    study: Path
    trials: int
    training: TrainOptions
    arguments: tuple[str, ...]
