"""The options of ``training.train_gpu``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GpuOptions:
    """The options of ``training.train_gpu``, which its ``--help`` explains."""

    manifest: Path
    out: Path
    minutes: float
    recipe: str
    seed: int
    command: str
