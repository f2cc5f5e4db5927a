"""Measure the decode alone, in CPU time of one process: ours, and with Pillow's resize instead.

The two take turns on the same photos, so that a busy moment of the machine falls on both.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from bench import photos
from bench.machine import processor
from lens import resize
from lens.images import decode

Resizer = resize.Resizer


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.decode", description=__doc__)
    parser.add_argument("--photo", type=Path, help="a photo instead of the painted lesion")
    parser.add_argument("--rounds", type=int, default=30, help="default 30")
    arguments = parser.parse_args()
    print(f"{processor()}; ms of CPU, best and median of {arguments.rounds}")
    for name, data in photos.jpegs(arguments.photo).items():
        ours, pillows = [], []
        for _ in range(arguments.rounds):
            ours.append(_cpu_ms(lambda data=data: decode(data)))
            pillows.append(_cpu_ms(lambda data=data: _by_pillow(data)))
        for resizer, times in (("ours", ours), ("Pillow's resize", pillows)):
            print(f"  {name:>6} {resizer:16} {min(times):6.1f} {statistics.median(times):6.1f}")


def _by_pillow(data: bytes) -> None:
    resize.Resizer = None
    try:
        decode(data)
    finally:
        resize.Resizer = Resizer


def _cpu_ms(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return 1000 * (time.process_time() - start)


if __name__ == "__main__":
    main()
