"""What ``training.score`` is asked for; importable without a network."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ScoreOptions:
    """The options of ``training.score``.

    Attributes:
        model: a model file.
        out: the table to write.
        table: a CSV table whose column ``path`` names photos too.
        processes: on this machine.
        dask: address of a Dask scheduler, whose workers are used in place of processes.
        paths: photos, folders and URLs.
    """

    model: Path
    out: Path
    table: Path | None
    processes: int
    dask: str | None
    paths: tuple[str, ...]
