"""The refusal, calibration and threshold of a finished model, fitted anew to other photos."""

import dataclasses

from lens import loader
from lens.artifact import InvalidModel
from lens.card import Card
from training import networks
from training.datasets.manifest import read_manifest
from training.fit.calibration import calibrate
from training.fit.options import RecalibrateOptions
from training.fit.run import finish, open_splits, read_splits, set_aside, views_of


def recalibrate(options: RecalibrateOptions) -> Card:
    """Write the model with what was fitted; return its card.

    Raises:
        InvalidModel: the file is no model of ``training.train``.
        ManifestError: the manifest, or a file that it names, cannot be used.
    """
    model, card = loader.load(options.model)
    if card.name not in networks.NAMES:
        raise InvalidModel(
            f"{options.model}: expected a network of training.train ({', '.join(networks.NAMES)}), "
            f"got {card.name}"
        )
    splits = read_splits(options.manifest)
    examples, validation = open_splits(splits, options.manifest.parent / "cache")
    card = dataclasses.replace(
        card,
        views=views_of(card.name),
        command=f"{card.command}\n{options.command}".strip(),
        split_hashes=set_aside(read_manifest(options.manifest), [options.model], options.manifest),
        metrics={},
    )
    if splits.others:
        return finish(model, card, options.out, examples, validation, options.seed)
    print("no not_lesion.csv beside the manifest: the refusal keeps what it learned of photographs")
    return calibrate(model, card, options.out, validation.images, validation.rows)
