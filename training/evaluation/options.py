"""The options of ``training.evaluate``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of ``training.evaluate``, which its ``--help`` explains."""

    model: Path
    manifest: Path
    out: Path
    subset: int
    seed: int
