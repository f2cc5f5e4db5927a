"""Train a network and write the ``.h5`` that the app serves: ``python -m training.train``."""

import argparse
import sys
from pathlib import Path

from lens.artifact import InvalidModel
from lens.card import Card
from training.cli import positive
from training.datasets.manifest import ManifestError
from training.fit.batches import DiskFull
from training.fit.distillation import IMAGENET, NotATeacher
from training.fit.loop import TrainingError
from training.fit.overrides import OverrideError, names
from training.fit.recipes import DEFAULT, RECIPES
from training.fit.run import NETWORKS, train
from training.networks.efficientnet import MissingWeights

FAILURES = (
    ManifestError,
    DiskFull,
    InvalidModel,
    MissingWeights,
    NotATeacher,
    OverrideError,
    TrainingError,
)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m training.train",
        description=__doc__,
        epilog=f"What --set can change in the default recipe: {', '.join(names(DEFAULT))}. "
        "@FILE stands for the arguments in FILE, one a line.",
        allow_abbrev=False,
        fromfile_prefix_chars="@",
    )
    parser.add_argument("--manifest", type=Path, default=Path("data/manifest.csv"), metavar="FILE")
    parser.add_argument("--out", type=Path, default=Path("models/melanoma.h5"), metavar="FILE.h5")
    parser.add_argument("--network", choices=NETWORKS, default="cnn7")
    parser.add_argument("--recipe", choices=RECIPES, default="default")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a number of the recipe, such as epochs=3 or rates.adam=1e-3; may be repeated",
    )
    parser.add_argument("--optimizer", choices=("sgd", "adam", "rmsprop"), help="(of the recipe)")
    parser.add_argument("--epochs", type=positive, metavar="N", help="in all (of the recipe)")
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
    parser.add_argument("--resume", action="store_true", help="go on after the last whole epoch")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def announce(options: argparse.Namespace, card: Card) -> None:
    """Say what was written to ``options.out``, and what to do next."""
    for kind, point in card.distinct_points().items():
        print(
            f"{options.out}: {kind} photos: threshold {point.threshold:.3f} "
            f"({point.threshold_rule}), temperature {point.temperature:.2f}"
        )
    print(f"next: python -m training.evaluate {options.out} --manifest {options.manifest}")


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        card = train(options)
    except FAILURES as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command with --resume goes on after the last whole epoch")
        return 130
    announce(options, card)
    return 0


if __name__ == "__main__":
    sys.exit(main())
