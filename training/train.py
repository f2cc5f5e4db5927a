"""Train a network and write the ``.h5`` that the app serves: ``python -m training.train``."""

import argparse
import sys
from pathlib import Path

from training import cli
from training.fit.options import IMAGENET, TrainOptions
from training.fit.overrides import names
from training.fit.recipes import DEFAULT, RECIPES
from training.networks import NAMES


def parse(arguments: list[str] | None) -> TrainOptions:
    """Parse the command line.

    Raises:
        OverrideError: ``--set`` names nothing, or gives it an impossible value.
    """
    parser = argparse.ArgumentParser(
        "python -m training.train",
        description=__doc__,
        epilog=f"What --set can change in the default recipe: {', '.join(names(DEFAULT))}. "
        "@FILE stands for the arguments in FILE, one a line.",
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
        help="change a number of the recipe, such as epochs=3 or rates.adam=1e-3; may be repeated",
    )
    parser.add_argument("--optimizer", choices=("sgd", "adam", "rmsprop"), help="(of the recipe)")
    parser.add_argument("--epochs", type=cli.positive, metavar="N", help="in all (of the recipe)")
    parser.add_argument(
        "--teacher",
        metavar="FILE.h5",
        help="an efficientnet_lite0 whose opinion and embedding of each image are learned too; "
        f"or {IMAGENET}, for the embedding that ImageNet's weights give",
    )
    parser.add_argument(
        "--start",
        type=Path,
        metavar="FILE.h5",
        help="begin with the weights of this model of the same network, not with random ones",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on after the last whole epoch; every other option must be as it was",
    )
    cli.add_seed(parser, "of the first weights, the drawing of images and their changes")
    parsed = parser.parse_args(arguments)
    parsed.overrides = tuple(parsed.overrides)
    # A stopped and resumed run has the same weights as an unbroken one.
    command = cli.command_line("train", arguments, without="--resume")
    options = TrainOptions(**vars(parsed), command=command)
    options.full_recipe()
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    return cli.run(
        "train",
        lambda: _train(parse(arguments)),
        stopped="the same command with --resume goes on after the last whole epoch",
    )


def _train(options: TrainOptions) -> None:
    cli.load_keras(options.network)
    from training.fit.run import describe, train

    print(describe(train(options), options.out, options.manifest))


if __name__ == "__main__":
    sys.exit(main())
