"""What ``training.train_gpu`` is asked for."""

from dataclasses import dataclass
from pathlib import Path

from training.gpu.recipe import RECIPES, GpuRecipe


@dataclass(frozen=True)
class GpuOptions:
    """A run on a GPU.

    Attributes:
        minutes: of all phases together, with decoding and validation.
        recipe: a name in ``RECIPES``.
        command: as a user would type it again, for the cards.
    """

    manifest: Path
    out: Path
    minutes: float
    recipe: str
    seed: int
    command: str

    def numbers(self) -> GpuRecipe:
        """The recipe itself."""
        return RECIPES[self.recipe]
