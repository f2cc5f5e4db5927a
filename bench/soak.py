"""Keep the service at capacity for half an hour: does it stay as it was? `make soak`.

Visitors send photos through the pages and the API, and things that are no photo, without a pause.
Memory, descriptors and files are looked at meanwhile and, when all is quiet again, compared with
the start. Ends with a table, and exit status 1 where a row is not as it must be.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from app.settings import Settings
from bench import photos
from bench.server import ROOT, Server, gunicorn
from bench.visits import Visits

MOST_DRIFT = 5.0
"""Percent by which memory may grow."""

RESULT_LIVES = 30
"""Seconds a result lives here, so that results expire and are swept all the time."""

QUIET = 3 * RESULT_LIVES
"""Longest wait for the last results to be swept and connections to close, in seconds."""

SAMPLES = 100

PLACES = ("/dev/shm", None)
"""Where results are kept (memory), and where temporary files would be."""


@dataclass(frozen=True)
class Left:
    """What a server holds on to when nobody asks it anything."""

    descriptors: int
    results: int
    temporary_files: int
    workers: frozenset[int]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="default 30")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "melanoma.h5")
    arguments = parser.parse_args()
    if arguments.minutes <= 0:
        parser.error(f"--minutes: expected more than 0, got {arguments.minutes:g}.")
    folders = [Path(tempfile.mkdtemp(prefix="molelens-soak-", dir=where)) for where in PLACES]
    try:
        model = photos.credulous(arguments.model, folders[0])
        return soak(model, 60 * arguments.minutes, *folders)
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def soak(model: Path, seconds: float, results: Path, temporary: Path) -> int:
    environment = {
        "MOLELENS_MODEL": str(model),
        "TMPDIR": str(temporary),
        "MOLELENS_RESULTS": f"file://{results}",
        "MOLELENS_RESULTS_SECONDS": str(RESULT_LIVES),
    }
    sent = list(photos.jpegs(None).values())
    with gunicorn(["wsgi:app"], environment) as server:

        def left() -> Left:
            return look(server, results / "results", temporary)

        workers = len(server.workers())
        visitors = Settings().at_once * workers
        print(f"{workers} workers, {visitors} visitors, {seconds / 60:g} minutes", flush=True)
        warm_up(server, sent, visitors)
        before = quiet(left, lambda now: now.results == 0)
        begin = time.monotonic()
        with Visits(server.url, sent, visitors) as visits:
            memory = watch(server, visits, seconds)
        elapsed = time.monotonic() - begin
        after = quiet(left, lambda now: now == before)
    return report(visits, elapsed, memory, before, after)


def look(server: Server, results: Path, temporary: Path) -> Left:
    return Left(
        descriptors=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in server.workers()),
        results=len(os.listdir(results)),
        temporary_files=sum(len(files) for _, _, files in os.walk(temporary)),
        workers=frozenset(server.workers()),
    )


def warm_up(server: Server, sent: list[bytes], visitors: int) -> None:
    """Every worker does everything once: it imports, opens and allocates what it then keeps."""
    with Visits(server.url, sent, visitors) as visits:
        while visits.rounds < 4 * visitors and not visits.errors:
            time.sleep(0.1)
    if visits.errors:
        raise SystemExit(f"The service does not serve: {visits.errors[0]}.")


def watch(server: Server, visits: Visits, seconds: float) -> list[float]:
    """Memory of all workers together, in MB (PSS), sampled until the time is over."""
    memory: list[float] = []
    begin = time.monotonic()
    shown = "{l_bar}{bar}| {n}/{total} s{postfix}"
    with tqdm(total=round(seconds), bar_format=shown) as bar:
        while (now := time.monotonic() - begin) < seconds:
            memory.append(sum(server.worker_memory()))
            bar.set_postfix_str(
                f"{visits.answered} requests, {len(visits.errors)} errors, {memory[-1]:.0f} MB"
            )
            bar.update(round(now) - bar.n)
            time.sleep(min(seconds / SAMPLES, 5))
        bar.update(round(seconds) - bar.n)
    return memory


def quiet(left: Callable[[], Left], reached: Callable[[Left], bool]) -> Left:
    """What is left once connections are closed and results swept, or after QUIET seconds."""
    print("Waiting for results to expire and connections to close", flush=True)
    end = time.monotonic() + QUIET
    while not reached(now := left()) and time.monotonic() < end:
        time.sleep(0.5)
    return now


def drift(memory: list[float]) -> float:
    """Growth in percent from the second to the last fifth; in the first, heaps find their size."""
    fifth = max(1, len(memory) // 5)
    return 100 * (
        statistics.median(memory[-fifth:]) / statistics.median(memory[fifth : 2 * fifth]) - 1
    )


def report(visits: Visits, elapsed: float, memory: list[float], before: Left, after: Left) -> int:
    growth = drift(memory)
    rows = [
        ("requests that went wrong", "0", len(visits.errors), not visits.errors),
        ("growth of the workers' memory, %", f"{MOST_DRIFT:g}", growth, growth < MOST_DRIFT),
        *(
            (name, "0", count, count <= 0)
            for name, count in [
                ("descriptors left open", after.descriptors - before.descriptors),
                ("results left in memory", after.results - before.results),
                ("temporary files left", after.temporary_files - before.temporary_files),
                ("workers that died", len(before.workers - after.workers)),
            ]
        ),
    ]
    rate = visits.answered / elapsed
    print(f"\n{visits.answered} requests in {elapsed:.0f} s, {rate:.1f}/s")
    print(f"memory of all workers {min(memory):.0f} to {max(memory):.0f} MB (PSS)")
    print(f"  {'':36} {'at most':>8} {'measured':>9}")
    for name, limit, figure, kept in rows:
        print(f"  {name:36} {limit:>8} {figure:9.4g}  {'' if kept else 'NOT KEPT'}")
    for error in sorted(set(visits.errors))[:10]:
        print(f"  {visits.errors.count(error)} x {error}")
    return 0 if all(kept for *_, kept in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
