"""Search better numbers for a recipe with Optuna: ``python -m training.tune --trials 20``.

Each trial trains with the learning rate and some other numbers of the recipe drawn between a third
and three times their value; the first takes them as they are. Trials that fall behind are pruned.
The best one's arguments are written beside the study, for training.train to take by its name.
All other arguments are those of training.train (--manifest, --epochs, --set ...).
"""

import argparse
import sys
from pathlib import Path

from training import cli, train
from training.fit.options import SearchOptions


def parse(arguments: list[str] | None) -> SearchOptions:
    """Parse the command line; what is not ours is for ``training.train``."""
    parser = argparse.ArgumentParser(
        "python -m training.tune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--study",
        type=Path,
        default=Path("runs/tune.db"),
        metavar="FILE.db",
        help="kept there; the same command goes on with it, several at a time too "
        "(default runs/tune.db)",
    )
    parser.add_argument(
        "--trials",
        type=cli.positive,
        default=20,
        metavar="N",
        help="finished or pruned, in all (default 20)",
    )
    ours, others = parser.parse_known_args(arguments)
    return SearchOptions(ours.study, ours.trials, train.parse(others), tuple(others))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    return cli.run(
        "tune",
        lambda: _tune(parse(arguments)),
        stopped="the same command goes on with the study",
    )


def _tune(options: SearchOptions) -> None:
    cli.load_keras()
    from training.fit.search import describe, search

    print(describe(search(options), options.study))


if __name__ == "__main__":
    sys.exit(main())
