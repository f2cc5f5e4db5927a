"""Judge many photos in one process, in several processes, or on a Dask cluster."""

from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import cache
from multiprocessing import TimeoutError
from typing import Any, NamedTuple

from joblib import Parallel, delayed, parallel_config

from lens import artifact
from lens.card import Card
from lens.engine import Engine, open_engine
from lens.images import InvalidImage, decode
from lens.verdict import judge
from training.cli import CommandError
from training.scoring.locations import read_bytes

COLUMNS = ("path", "status", "verdict", "probability", "reasons")

CLUSTER_TIMEOUT_SECONDS = 600
"""The run fails if a Dask cluster returns no row for this long; a photo takes less than 10 s."""


class ScoringError(CommandError):
    """The processes or the cluster failed; the message says what to do."""


class Scored(NamedTuple):
    """The result for one photo.

    Attributes:
        row: its row of the table, by column.
        error: why the file could not be read as a photo; "" if it could.
    """

    row: dict[str, str]
    error: str


def score_each(
    locations: Iterable[str], model: str, processes: int, scheduler: str | None
) -> Iterator[Scored]:
    """Judge photos and yield their rows in the same order.

    joblib distributes the photos to this process, to several processes that share the cores, or to
    the workers of a Dask cluster; only a few photos are queued at a time. If a worker dies, Dask
    gives its photo to another one.

    Args:
        locations: the photos, as returned by ``find_photos``.
        model: path of the model file, which is the same on every machine of a cluster.
        processes: number of processes on this machine; 1 means this process.
        scheduler: address of a Dask scheduler, whose workers replace the processes.

    Raises:
        ScoringError: Dask is not installed, has no worker or answers no more, or a process was
            killed.
        InvalidModel, EngineError: the model cannot be run.
        ArchiveError: an object store cannot be opened.
    """
    with ExitStack() as stack:
        if scheduler:
            stack.enter_context(_connect(scheduler))
            stack.enter_context(parallel_config("dask"))
        else:
            stack.enter_context(parallel_config("loky", n_jobs=processes))
        pool = Parallel(
            return_as="generator", timeout=CLUSTER_TIMEOUT_SECONDS if scheduler else None
        )
        sha256 = artifact.sha256(model)
        try:
            yield from pool(delayed(score)(location, model, sha256) for location in locations)
        except BrokenProcessPool as error:
            raise ScoringError(
                f"a process was killed, perhaps for lack of memory; try fewer --processes: {error}"
            ) from error
        except TimeoutError as error:
            raise ScoringError(
                f"{scheduler}: the cluster returned nothing for {CLUSTER_TIMEOUT_SECONDS} s; the "
                "same command continues"
            ) from error


def score(location: str, model: str, sha256: str) -> Scored:
    """Judge one photo.

    Args:
        location: the photo, as returned by ``find_photos``.
        model: path of the model file.
        sha256: its checksum. A worker of a cluster may have opened an earlier file at this path.

    Raises:
        InvalidModel, EngineError: the model cannot be run, or is another file on this machine.
        ArchiveError: the photo's object store cannot be opened.
    """
    engine, card = _open_model(model, sha256)
    row = dict.fromkeys(COLUMNS, "") | {"path": location}
    try:
        verdict = judge(decode(read_bytes(location)), engine, card)
    except InvalidImage as error:
        return Scored(row | {"status": "cannot_judge", "reasons": error.reason}, str(error))
    row["status"] = verdict.status
    row["verdict"] = verdict.verdict or ""
    row["probability"] = "" if verdict.probability is None else f"{verdict.probability:.6f}"
    row["reasons"] = ";".join(verdict.reasons)
    return Scored(row, "")


@cache
def _open_model(model: str, sha256: str) -> tuple[Engine, Card]:
    """The model, opened once in each process."""
    if (found := artifact.sha256(model)) != sha256:
        raise artifact.InvalidModel(
            f"{model}: expected the file with SHA-256 {sha256[:12]}, got {found[:12]}; copy the "
            "same file to every machine"
        )
    return open_engine(model), artifact.read_card(model)


def _connect(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise ScoringError("--dask needs Dask: pip install distributed") from error
    try:
        client: Any = Client(scheduler)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ScoringError(f"{scheduler}: no Dask scheduler answers: {error}") from error
    if not client.ncores():
        client.close()
        raise ScoringError(
            f"{scheduler}: no worker yet; start one: python -m dask worker {scheduler}"
        )
    return client
