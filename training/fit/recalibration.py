"""Fit the refusal, calibration and threshold of a trained model again, on other photos."""

import dataclasses

from lens import loader
from lens.artifact import InvalidModel
from lens.card import Card
from training import networks
from training.datasets.manifest import read_manifest
from training.fit.calibration import calibrate
from training.fit.new_card import card_split_hashes, views_per_photo
from training.fit.options import RecalibrateOptions
from training.fit.run import finish, open_splits
from training.fit.splits import read_splits


def recalibrate(options: RecalibrateOptions) -> Card:
    """Write the recalibrated model and return its card.

    Raises:
        InvalidModel: the model is not one of ``training.networks``.
        ManifestError: the manifest, or a file that it lists, cannot be used.
        DiskFull: there is not enough disk space for the decoded images.
        TrainingError: the model has learned from images of the manifest's test split.
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
        views=views_per_photo(card.name),
        command=f"{card.command}\n{options.command}".strip(),
        split_hashes=card_split_hashes(
            read_manifest(options.manifest), [options.model], options.manifest
        ),
        metrics={},
    )
    if splits.others:
        return finish(model, card, options.out, examples, validation, options.seed)
    print(
        "there is no not_lesion.csv beside the manifest: the output lesion is not refitted, only "
        "its threshold"
    )
    return calibrate(model, card, options.out, validation.images, validation.rows)
