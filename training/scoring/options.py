"""The options of ``training.score``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ScoreOptions:
    """The options of ``training.score``.

    Attributes:
        model: the model file.
        out: the table to write.
        table: a CSV table whose column ``path`` lists further photos.
        processes: number of processes on this machine.
        dask: address of a Dask scheduler, whose workers replace the processes.
        paths: photos, folders and URLs.
    """

    model: Path
    out: Path
    table: Path | None
    processes: int
    dask: str | None
    paths: tuple[str, ...]
