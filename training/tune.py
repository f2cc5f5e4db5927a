"""Search for better hyperparameters with Optuna: ``python -m training.tune --trials 20``.

Each trial trains with a different learning rate and different values of some settings, from a third
of to three times the recipe's values; the first trial uses the recipe's. Trials worse than the
median are pruned. The arguments of the best trial are written beside the study;
training.train reads them as @FILE. All other arguments are those of training.train (--manifest,
--epochs ...).
"""

import argparse
import sys
from pathlib import Path

from training import cli, train
from training.fit.options import SearchOptions


def parse(arguments: list[str] | None) -> SearchOptions:
    """Parse the command line; unknown arguments are parsed by ``training.train``."""
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
        help="the study's file; the same command continues it, also in several processes at a time "
        "(default runs/tune.db)",
    )
    parser.add_argument(
        "--trials",
        type=cli.positive_int,
        default=20,
        metavar="N",
        help="number of finished and pruned trials in all (default 20)",
    )
    own, others = parser.parse_known_args(arguments)
    return SearchOptions(own.study, own.trials, train.parse(others), tuple(others))


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(
        "tune",
        lambda: _tune(parse(arguments)),
        stopped="the same command continues the study",
    )


def _tune(options: SearchOptions) -> None:
    cli.load_keras()
    from training.fit.search import describe, search

    print(describe(search(options), options.study))


if __name__ == "__main__":
    sys.exit(main())
