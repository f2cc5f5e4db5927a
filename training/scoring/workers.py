"""A row for each of many photos, judged by one process, by several, or by a Dask cluster."""

from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import cache
from typing import Any, NamedTuple

from joblib import Parallel, delayed, parallel_config

from lens import artifact
from lens.card import Card
from lens.engine import Engine, open_engine
from lens.images import InvalidImage, decode
from lens.verdict import judge
from training.cli import CommandError
from training.scoring.locations import read

COLUMNS = ("path", "status", "verdict", "probability", "reasons")

PATIENCE = 600
"""Seconds without a row after which a cluster is taken for dead; a photo takes less than ten."""


class ScoringError(CommandError):
    """The photos cannot be judged so; the message says what to do."""


class Scored(NamedTuple):
    """A photo's row of the table, and why it could not be read as a photo (empty if it could)."""

    row: dict[str, str]
    fault: str


def score_each(
    locations: Iterable[str], model: str, processes: int, scheduler: str | None
) -> Iterator[Scored]:
    """Judge photos one by one; what comes out is in their order.

    joblib hands out the photos, a few ahead of those that are done: to this process, to others on
    this machine, each with its share of the cores, or to the workers of a Dask cluster, which gives
    a photo to another worker when one dies.

    Args:
        locations: of ``training.scoring.locations``.
        model: path of the model file, the same on every machine of a cluster.
        processes: on this machine; 1 is this one.
        scheduler: address of a Dask scheduler, whose workers are used in place of processes.

    Raises:
        ScoringError: Dask is not installed, or has no worker; or a process was killed.
        InvalidModel, EngineError: the model cannot be run.
        ArchiveError: a photo's store cannot be reached.
    """
    with ExitStack() as stack:
        if scheduler:
            stack.enter_context(_connected(scheduler))
            stack.enter_context(parallel_config("dask"))
        else:
            stack.enter_context(parallel_config("loky", n_jobs=processes))
        pool = Parallel(return_as="generator", timeout=PATIENCE if scheduler else None)
        try:
            yield from pool(delayed(score)(location, model) for location in locations)
        except BrokenProcessPool as error:
            raise ScoringError(
                f"a process was killed, perhaps for want of memory; try fewer --processes: {error}"
            ) from error


def score(location: str, model: str) -> Scored:
    """Judge one photo.

    Raises:
        InvalidModel, EngineError: the model cannot be run.
        ArchiveError: the photo's store cannot be reached.
    """
    engine, card = _opened(model)
    row = dict.fromkeys(COLUMNS, "") | {"path": location}
    try:
        verdict = judge(decode(read(location)), engine, card)
    except InvalidImage as error:
        return Scored(row | {"status": "cannot_judge", "reasons": error.reason}, str(error))
    row["status"] = verdict.status
    row["verdict"] = verdict.verdict or ""
    row["probability"] = "" if verdict.probability is None else f"{verdict.probability:.6f}"
    row["reasons"] = ";".join(verdict.reasons)
    return Scored(row, "")


@cache
def _opened(model: str) -> tuple[Engine, Card]:
    """Opened once in each process."""
    return open_engine(model), artifact.read_card(model)


def _connected(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ScoringError("--dask needs Dask: pip install distributed") from error
    try:
        client = Client(scheduler)
    except (OSError, ValueError) as error:
        raise ScoringError(f"{scheduler}: no Dask scheduler answers: {error}") from error
    if not client.ncores():
        client.close()
        raise ScoringError(f"{scheduler}: no worker yet; python -m dask worker {scheduler}")
    return client
