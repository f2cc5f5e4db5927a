"""Fit a model's refusal, calibration and threshold anew, its weights untouched.

For a clinic's own photos: how common a melanoma is and how a camera sees decide what a probability
and a threshold should be. The refusal is fitted on the manifest's train split and not_lesion.csv
beside it, where there is one, all else on its validation split:

    python -m training.recalibrate MODEL.h5 --out NEW.h5
"""

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path

from lens import loader
from lens.artifact import InvalidModel
from lens.card import Card
from training.datasets.manifest import ManifestError, read_manifest
from training.fit.batches import DiskFull
from training.fit.calibration import calibrate
from training.fit.run import NETWORKS, PAPER_NETWORKS, finish, open_splits, set_aside
from training.train import announce


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m training.recalibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", type=Path, metavar="MODEL.h5")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.h5")
    parser.add_argument("--manifest", type=Path, default=Path("data/manifest.csv"), metavar="FILE")
    parser.add_argument("--seed", type=int, default=0, help="of what the refusal is fitted on")
    return parser.parse_args(arguments)


def recalibrate(options: argparse.Namespace) -> Card:
    """Write the model with what was fitted; return its card.

    Raises:
        InvalidModel: the file is no model of ``training.train``.
        ManifestError: the manifest, or a file that it names, cannot be used.
    """
    model, card = loader.load(options.model)
    if card.name not in NETWORKS:
        raise InvalidModel(
            f"{options.model}: expected a network of training.train ({', '.join(NETWORKS)}), "
            f"got {card.name}"
        )
    examples, validation = open_splits(options.manifest)
    again = shlex.join(["python", "-m", "training.recalibrate", *sys.argv[1:]])
    card = dataclasses.replace(
        card,
        views=1 if card.name in PAPER_NETWORKS else 8,
        command=f"{card.command}\n{again}".strip(),
        split_hashes=set_aside(read_manifest(options.manifest), [options.model]),
        metrics={},
    )
    if len(examples.others):
        return finish(model, card, options.out, examples, validation, options.seed)
    print("no not_lesion.csv beside the manifest: the refusal keeps what it learned of photographs")
    return calibrate(model, card, options.out, validation.images, validation.rows)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        card = recalibrate(options)
    except (InvalidModel, ManifestError, DiskFull) as error:
        print(error, file=sys.stderr)
        return 2
    announce(options, card)
    return 0


if __name__ == "__main__":
    sys.exit(main())
