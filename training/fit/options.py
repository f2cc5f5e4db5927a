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
    """The options of ``training.train``; its ``--help`` explains them.

    Attributes:
        overrides: the values of ``--set``.
        command: the command line without ``--resume``, for the card.
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
class EnsembleOptions:
    """The options of ``training.ensemble``; ``command`` is its command line, for the card."""

    models: list[Path]
    out: Path
    manifest: Path
    command: str


@dataclass(frozen=True)
class SearchOptions:
    """The options of ``training.tune``.

    Attributes:
        study: the study's file. Beside ``FILE.db``, the arguments of the best trial are written to
            ``FILE.best``, and the checkpoints of all trials to the folder ``FILE.trials``.
        trials: total number of trials.
        training: the options of every trial, before the searched settings are changed.
        arguments: the command-line arguments that ``training`` was parsed from.
    """

    study: Path
    trials: int
    training: TrainOptions
    arguments: tuple[str, ...]
