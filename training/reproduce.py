"""Run the paper's experiment on real images: ``python -m training.reproduce``.

It trains the paper's three networks, its three optimizers, its staged run and the imbalanced run
that fooled it; tests each on images held out, and the served models on the same; and writes the
paper's tables beside its own. Each finished run leaves a file in --out: the same command, called
again, goes on where it stopped.
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
        "--compare",
        type=Path,
        nargs="*",
        default=SERVED,
        metavar="FILE.h5",
        help="models to test on the same images (default the two that are shipped)",
    )
    parser.add_argument(
        "--epochs",
        type=cli.positive,
        default=published.EPOCHS[-1],
        metavar="N",
        help="of the three stages together; other runs take a third, version 3.0 an eighteenth "
        f"(default {published.EPOCHS[-1]}, the paper's)",
    )
    parser.add_argument(
        "--images",
        type=cli.positive,
        metavar="N",
        help="to train on, half of them melanomas, and at most to test on (default all)",
    )
    cli.add_seed(parser, "of the images drawn and of the training")
    return ReproduceOptions(**vars(parser.parse_args(arguments)))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    return cli.run(
        "reproduce",
        lambda: _reproduce(parse(arguments)),
        stopped="the same command goes on after the last whole epoch",
    )


def _reproduce(options: ReproduceOptions) -> None:
    from training.paper.experiment import reproduce

    reproduce(options)
    print(f"wrote {options.report} and its curves")


if __name__ == "__main__":
    sys.exit(main())
