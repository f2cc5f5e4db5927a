"""Run the service at full load for half an hour, and check that nothing grows: `make soak`.

Visitors send photos through the pages and the API, and files that are no photos, without a pause.
At the end, memory, descriptors and files are compared with the start. Prints a table; the exit
status is 1 if a limit is exceeded.
"""

import argparse
import itertools
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
from bench.visits import PREDICTIONS, Answer, UnexpectedAnswerError, Visitor, Visits, form

MAX_GROWTH_PERCENT = 5.0
"""Allowed growth of the workers' memory."""

RESULT_SECONDS = 30
"""Lifetime of results, so short that results keep expiring and being deleted."""

QUIET_SECONDS = 3 * RESULT_SECONDS
"""Longest wait for the last results to be deleted and for connections to close."""

MEMORY_SAMPLES = 100

PARENT_FOLDERS = ("/dev/shm", None)
"""Where the results (in memory) and temporary files go."""


@dataclass(frozen=True)
class Resources:
    """What an idle server holds."""

    descriptors: int
    results: int
    temporary_files: int
    workers: frozenset[int]


class SoakVisits(Visits):
    """Each visit uploads a photo, looks at the result, uses the API, and sends a file of text.

    Attributes:
        answered: number of requests that got the expected answer.
    """

    def __init__(self, url: str, jpegs: list[bytes], visitors: int) -> None:
        super().__init__(visitors)
        self.answered = 0
        self._url = url
        self._jpegs = itertools.cycle(enumerate(jpegs))

    def visit(self, _: int) -> None:
        with self._lock:
            number, jpeg = next(self._jpegs)
        visitor = Visitor(self._url)
        form_page = self._expect(200, visitor.ask("/"))
        result = self._expect(303, visitor.submit(form_page, "/upload", jpeg)).location
        page = self._expect(200, visitor.ask(result))
        self._expect(200, visitor.ask(f"{result}/photo.jpg"))
        self._expect(200, visitor.ask(f"{result}/heatmap.png"))
        if number == 0:  # Other results are left to expire.
            self._expect(303, visitor.submit(page, f"{result}/delete"))
        self._expect(200, visitor.ask(PREDICTIONS, form(jpeg)))
        self._expect(415, visitor.ask(PREDICTIONS, form(b"not a photo")))

    def _expect(self, status: int, answer: Answer) -> Answer:
        if answer.status != status:
            raise UnexpectedAnswerError(f"{answer.address}: expected {status}, got {answer.status}")
        with self._lock:
            self.answered += 1
        return answer


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="duration (default 30)")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "melanoma.h5")
    arguments = parser.parse_args()
    if arguments.minutes <= 0:
        parser.error(f"--minutes: expected more than 0, got {arguments.minutes:g}.")
    folders = [
        Path(tempfile.mkdtemp(prefix="molelens-soak-", dir=parent)) for parent in PARENT_FOLDERS
    ]
    try:
        model = photos.without_lesion_check(arguments.model, folders[0])
        return soak(model, 60 * arguments.minutes, *folders)
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def soak(model: Path, seconds: float, results: Path, temporary: Path) -> int:
    environment = {
        "MOLELENS_MODEL": str(model),
        "TMPDIR": str(temporary),
        "MOLELENS_RESULTS": f"file://{results}",
        "MOLELENS_RESULTS_SECONDS": str(RESULT_SECONDS),
    }
    jpegs = list(photos.jpegs(None).values())
    with gunicorn(["wsgi:app"], environment) as server:

        def resources() -> Resources:
            return count_resources(server, results / "results", temporary)

        workers = len(server.workers())
        visitors = Settings().at_once * workers
        print(f"{workers} workers, {visitors} visitors, {seconds / 60:g} minutes", flush=True)
        warm_up(server, jpegs, visitors)
        before = wait_until_quiet(resources, lambda now: now.results == 0)
        begin = time.monotonic()
        with SoakVisits(server.url, jpegs, visitors) as visits:
            memory = sample_memory(server, visits, seconds)
        elapsed = time.monotonic() - begin
        after = wait_until_quiet(resources, lambda now: now == before)
    return report(visits, elapsed, memory, before, after)


def count_resources(server: Server, results: Path, temporary: Path) -> Resources:
    return Resources(
        descriptors=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in server.workers()),
        results=len(os.listdir(results)),
        temporary_files=sum(len(files) for _, _, files in os.walk(temporary)),
        workers=frozenset(server.workers()),
    )


def warm_up(server: Server, jpegs: list[bytes], visitors: int) -> None:
    """Let every worker do everything once, so that all that it keeps is allocated."""
    with SoakVisits(server.url, jpegs, visitors) as visits:
        while visits.completed < 4 * visitors and not visits.errors:
            time.sleep(0.1)
    if visits.errors:
        raise SystemExit(f"The service does not work: {visits.errors[0]}.")


def sample_memory(server: Server, visits: SoakVisits, seconds: float) -> list[float]:
    """Sample the total memory of all workers, in MB (PSS), for ``seconds``."""
    memory: list[float] = []
    begin = time.monotonic()
    bar_format = "{l_bar}{bar}| {n}/{total} s{postfix}"
    with tqdm(total=round(seconds), bar_format=bar_format) as bar:
        while (now := time.monotonic() - begin) < seconds:
            memory.append(sum(server.worker_memory()))
            bar.set_postfix_str(
                f"{visits.answered} requests, {len(visits.errors)} errors, {memory[-1]:.0f} MB"
            )
            bar.update(round(now) - bar.n)
            time.sleep(min(seconds / MEMORY_SAMPLES, 5))
        bar.update(round(seconds) - bar.n)
    return memory


def wait_until_quiet(
    resources: Callable[[], Resources], reached: Callable[[Resources], bool]
) -> Resources:
    """Wait until a state is reached, but at most QUIET_SECONDS; return the last state."""
    print("Waiting for results to expire and connections to close", flush=True)
    end = time.monotonic() + QUIET_SECONDS
    while not reached(now := resources()) and time.monotonic() < end:
        time.sleep(0.5)
    return now


def growth_percent(memory: list[float]) -> float:
    """Growth from the second to the last fifth; in the first fifth, heaps reach their size."""
    fifth = max(1, len(memory) // 5)
    return 100 * (
        statistics.median(memory[-fifth:]) / statistics.median(memory[fifth : 2 * fifth]) - 1
    )


def report(
    visits: SoakVisits, elapsed: float, memory: list[float], before: Resources, after: Resources
) -> int:
    """Print the table; return the exit status."""
    growth = growth_percent(memory)
    counts = {
        "failed requests": len(visits.errors),
        "descriptors left open": after.descriptors - before.descriptors,
        "results left in memory": after.results - before.results,
        "temporary files left": after.temporary_files - before.temporary_files,
        "workers that died": len(before.workers - after.workers),
    }
    rows: list[tuple[str, float, float]] = [(name, 0, count) for name, count in counts.items()]
    rows.insert(1, ("growth of the workers' memory, %", MAX_GROWTH_PERCENT, growth))
    rate = visits.answered / elapsed
    print(f"\n{visits.answered} requests in {elapsed:.0f} s, {rate:.1f}/s")
    print(f"memory of all workers {min(memory):.0f} to {max(memory):.0f} MB (PSS)")
    print(f"  {'':36} {'at most':>8} {'measured':>9}")
    for name, limit, figure in rows:
        print(f"  {name:36} {limit:8g} {figure:9.4g}  {'' if figure <= limit else 'EXCEEDED'}")
    for error in sorted(set(visits.errors))[:10]:
        print(f"  {visits.errors.count(error)} x {error}")
    return 0 if all(figure <= limit for _, limit, figure in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
