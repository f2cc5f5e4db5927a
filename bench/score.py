"""Measure photos per second of ``training.score``, with one process and with one per core.

Every measurement judges the same photos. The start of the processes is not counted. In one process
only the network uses all cores; several processes also decode in parallel.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from bench import photos
from bench.server import ROOT
from training.scoring.workers import score_each


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.score", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "melanoma.h5")
    parser.add_argument(
        "--photos", type=int, default=150, help="number of photos of each size (default 150)"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=3,
        help="number of rounds, of which the best counts (default 3)",
    )
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="molelens-bench-") as name:
        model = str(photos.without_lesion_check(arguments.model, Path(name)))
        for size, jpeg in photos.jpegs(None).items():
            photo = Path(name, "photo.jpg")
            photo.write_bytes(jpeg)
            best = {
                processes: max(
                    rate(str(photo), arguments.photos, model, processes)
                    for _ in range(arguments.rounds)
                )
                for processes in (1, cores)
            }
            for processes, figure in best.items():
                print(f"{size:>6}, {processes} process(es): {figure:6.1f} photos/s", flush=True)
            print(f"{size:>6}: {best[cores] / best[1]:.2f} times as many with {cores}", flush=True)


def rate(photo: str, count: int, model: str, processes: int) -> float:
    """Photos per second while all processes are busy; more photos come before and after."""
    margin = 4 * processes
    scored = score_each([photo] * (margin + count + margin), model, processes, None)
    clock = []
    for row, fault in scored:
        if fault or row["status"] != "ok":
            raise SystemExit(f"Expected a verdict, got {row['reasons']}: {fault}")
        clock.append(time.perf_counter())
    return count / (clock[margin + count - 1] - clock[margin - 1])


if __name__ == "__main__":
    main()
