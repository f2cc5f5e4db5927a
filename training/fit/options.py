"""What the commands that fit a network are asked for; importable without Keras."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from training.fit.overrides import override
from training.fit.recipes import RECIPES, Recipe

IMAGENET = "imagenet"
"""Names the teacher that knows ImageNet alone, and nothing of lesions."""


@dataclass(frozen=True)
class TrainOptions:
    """The options of ``training.train``.

    Attributes:
        manifest: the images, with ``not_lesion.csv`` beside it where there are others.
        out: the model file.
        network: one of ``training.networks.NAMES``.
        recipe: one of ``training.fit.recipes.RECIPES``.
        overrides: ``NAME=VALUE`` each, of ``--set``.
        optimizer: in place of the recipe's.
        epochs: in place of the recipe's.
        teacher: a model file, or ``imagenet``.
        start: the model file whose weights are the first.
        resume: go on after the last whole epoch.
        seed: of the first weights, sampling and augmentation.
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
        """The recipe with everything that the options change in it.

        Raises:
            OverrideError: a setting names nothing, or gives it an impossible value.
        """
        recipe = override(RECIPES[self.recipe], self.overrides)
        return dataclasses.replace(
            recipe,
            optimizer=self.optimizer or recipe.optimizer,
            epochs=self.epochs or recipe.epochs,
        )

    def teacher_file(self) -> Path | None:
        """The teacher's model file, where there is one."""
        return Path(self.teacher) if self.teacher and self.teacher != IMAGENET else None

    def parents(self) -> list[Path]:
        """The model files that this one learns from."""
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

    Attributes:
        study: an SQLite file; begun if absent. ``FILE.best`` is written beside it, and the
            checkpoints of each trial to the folder ``FILE.trials``.
        trials: finished or pruned ones, those of earlier calls included.
        training: what each trial is trained with, but for the numbers that are searched.
        arguments: the same as arguments of ``training.train``.
    """

    study: Path
    trials: int
    training: TrainOptions
    arguments: tuple[str, ...]
