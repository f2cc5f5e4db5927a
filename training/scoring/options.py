"""The options of ``training.score``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ScoreOptions:
    """The options of ``training.score``, which its ``--help`` explains."""

    model: Path
    out: Path
    table: Path | None
    processes: int
    dask: str | None
    paths: tuple[str, ...]
