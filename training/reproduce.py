"""Run the paper's experiment on real images: ``python -m training.reproduce``.

It trains the paper's three networks, its three optimizers, its staged run and the imbalanced run
that fooled it, and one network our way on the same images; tests each on images held out; and
writes the paper's tables beside its own. Each finished run leaves a file in --out: the same
command, called again, goes on where it stopped.
"""

import argparse
import sys
from pathlib import Path

from lens.artifact import InvalidModel
from lens.engine import EngineError
from training.cli import positive
from training.datasets.manifest import ManifestError
from training.fit.batches import DiskFull
from training.fit.loop import TrainingError
from training.paper import published
from training.paper.runs import ReproduceError, reproduce

FAILURES = (ManifestError, DiskFull, TrainingError, ReproduceError, InvalidModel, EngineError)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m training.reproduce", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--manifest", type=Path, default=Path("data/manifest.csv"), metavar="FILE")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/reproduction"),
        metavar="DIR",
        help="where the runs are kept (default runs/reproduction)",
    )
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("docs/reproduction.md"),
        metavar="FILE.md",
        help="written anew after each run, with its curves in FILE.png",
    )
    parser.add_argument(
        "--epochs",
        type=positive,
        default=published.EPOCHS[-1],
        metavar="N",
        help="of the staged run's three stages together and of the network trained our way; every "
        f"other run takes a third (default {published.EPOCHS[-1]}, the paper's)",
    )
    parser.add_argument(
        "--images",
        type=positive,
        metavar="N",
        help="to train on, half of them melanomas, and at most to test on (default all)",
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        reproduce(options)
    except FAILURES as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nreproduce: stopped; the same command goes on after the last whole epoch")
        return 130
    print(f"wrote {options.report} and its curves")
    return 0


if __name__ == "__main__":
    sys.exit(main())
