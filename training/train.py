"""Train a network and write the ``.h5`` that the app serves: ``python -m training.train``."""

import argparse
import sys
from pathlib import Path

from training import cli
from training.fit.options import IMAGENET, TrainOptions
from training.fit.overrides import settings_of
from training.fit.recipes import DEFAULT, RECIPES
from training.networks import NAMES


def parse(arguments: list[str] | None) -> TrainOptions:
    """Parse the command line.

    Raises:
        OverrideError: a setting does not exist, or its value is not allowed.
    """
    parsed = _parser().parse_args(arguments)
    parsed.overrides = tuple(parsed.overrides)
    # The card records the command without --resume, since a resumed run gives the same weights.
    command = cli.command_line("train", arguments, without="--resume")
    options = TrainOptions(**vars(parsed), command=command)
    options.full_recipe()
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m training.train",
        description=__doc__,
        epilog=f"Settings of the default recipe for --set: {', '.join(settings_of(DEFAULT))}. "
        "@FILE stands for the arguments in FILE, one per line.",
        allow_abbrev=False,
        fromfile_prefix_chars="@",
    )
    cli.add_manifest(parser)
    parser.add_argument("--out", type=Path, default=Path("models/melanoma.h5"), metavar="FILE.h5")
    parser.add_argument("--network", choices=NAMES, default="cnn7")
    parser.add_argument("--recipe", choices=RECIPES, default="default")
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting of the recipe, such as epochs=3 or rates.adam=1e-3; may be repeated",
    )
    parser.add_argument(
        "--optimizer", choices=("sgd", "adam", "rmsprop"), help="(default: the recipe's)"
    )
    parser.add_argument(
        "--epochs",
        type=cli.positive_int,
        metavar="N",
        help="total number of epochs (default: the recipe's)",
    )
    parser.add_argument(
        "--teacher",
        metavar="FILE.h5",
        help="an efficientnet_lite0 whose probability and embedding of each image become further "
        f"targets; or {IMAGENET}, to learn only the embedding of a network with ImageNet weights",
    )
    parser.add_argument(
        "--start",
        type=Path,
        metavar="FILE.h5",
        help="start from the weights of this model of the same network, not from random ones",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="continue after the last complete epoch; all other options must be the same as before",
    )
    cli.add_seed(parser, "the initial weights, sampling and augmentation")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(
        "train",
        lambda: _train(parse(arguments)),
        stopped="the same command with --resume continues after the last complete epoch",
    )


def _train(options: TrainOptions) -> None:
    cli.load_keras(options.network)
    from training.fit.run import describe, train

    print(describe(train(options), options.out, options.manifest))


if __name__ == "__main__":
    sys.exit(main())
