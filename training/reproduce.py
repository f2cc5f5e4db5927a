"""Run the paper's experiment on real images: ``python -m training.reproduce``.

It trains the paper's three networks, and compares optimizers, training in stages, and balanced with
imbalanced classes. It tests each network and the served models on the same held-out images, and
writes a report with the paper's tables beside our results. Finished runs are kept in --out; after
an interruption the same command continues.
"""

import argparse
import sys
from pathlib import Path

from training import cli
from training.paper import published
from training.paper.options import ReproduceOptions

SERVED = [
    Path("models/melanoma.h5"),
    Path("models/efficientnet_lite0/efficientnet_lite0.h5"),
]


def parse(arguments: list[str] | None) -> ReproduceOptions:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        "python -m training.reproduce", description=__doc__, allow_abbrev=False
    )
    cli.add_manifest(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/reproduction"),
        metavar="DIR",
        help="folder for the runs (default runs/reproduction)",
    )
    parser.add_argument(
        "--report",
        type=Path,
        default=Path("docs/reproduction.md"),
        metavar="FILE.md",
        help="the report, rewritten after each run, with the curves in FILE.png",
    )
    parser.add_argument(
        "--compare",
        type=Path,
        nargs="*",
        default=SERVED,
        metavar="FILE.h5",
        help="models to test on the same images (default: the two that are shipped)",
    )
    parser.add_argument(
        "--epochs",
        type=cli.positive_int,
        default=published.EPOCHS[-1],
        metavar="N",
        help="total for the three stages; other runs take a third of it, version 3.0 an eighteenth "
        f"(default {published.EPOCHS[-1]}, the paper's)",
    )
    parser.add_argument(
        "--images",
        type=cli.positive_int,
        metavar="N",
        help="number of training images, half of them melanomas, and maximum number of test images "
        "(default: all)",
    )
    cli.add_seed(parser, "the choice of images and the training")
    return ReproduceOptions(**vars(parser.parse_args(arguments)))


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(
        "reproduce",
        lambda: _reproduce(parse(arguments)),
        stopped="the same command continues after the last complete epoch",
    )


def _reproduce(options: ReproduceOptions) -> None:
    from training.paper.experiment import reproduce

    reproduce(options)
    print(f"wrote {options.report} and its curves")


if __name__ == "__main__":
    sys.exit(main())
