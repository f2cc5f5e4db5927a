"""Measure the CPU time of decoding alone, with our resize and with Pillow's.

Both decode the same photos in turn, so that other load on the machine affects them equally.
"""

import argparse
import statistics
import time
from pathlib import Path
from unittest import mock

from bench import photos
from bench.machine import processor
from lens import resize
from lens.images import decode


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.decode", description=__doc__)
    parser.add_argument("--photo", type=Path, help="a photo instead of the painted lesion")
    parser.add_argument("--rounds", type=int, default=30, help="number of rounds (default 30)")
    arguments = parser.parse_args()
    print(f"{processor()}; ms of CPU, best and median of {arguments.rounds}")
    for name, data in photos.jpegs(arguments.photo).items():
        ours_ms, pillow_ms = [], []
        for _ in range(arguments.rounds):
            ours_ms.append(_cpu_ms(data))
            with mock.patch.object(resize, "Resizer", None):
                pillow_ms.append(_cpu_ms(data))
        for resizer, times in (("our resize", ours_ms), ("Pillow's resize", pillow_ms)):
            print(f"  {name:>6} {resizer:16} {min(times):6.1f} {statistics.median(times):6.1f}")


def _cpu_ms(data: bytes) -> float:
    start = time.process_time()
    decode(data)
    return 1000 * (time.process_time() - start)


if __name__ == "__main__":
    main()
