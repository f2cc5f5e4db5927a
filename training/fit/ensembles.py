"""Average trained networks (Lakshminarayanan et al. 2017, arXiv:1612.01474)."""

import datetime
from collections import Counter
from collections.abc import Sequence

import keras
from keras import layers

from lens import loader
from lens.artifact import InvalidModel
from lens.card import Card
from lens.images import SIZE
from training.cli import UsageError
from training.datasets.manifest import read_manifest
from training.fit.calibration import calibrate
from training.fit.image_cache import open_images
from training.fit.new_card import card_split_hashes, count_images, installed_versions
from training.fit.options import EnsembleOptions
from training.fit.splits import read_splits

NAME = "ensemble"
OUTPUTS = {"malignant", "lesion", "kind", "heat_map"}


def make_ensemble(options: EnsembleOptions) -> Card:
    """Average the models, calibrate on the validation split, and write the model file.

    Returns:
        The card in the model file.

    Raises:
        UsageError: there are fewer than two models.
        InvalidModel: a model cannot be read, or lacks an output of ``cnn7``.
        ManifestError: the manifest, or a file that it lists, cannot be used.
        DiskFull: there is not enough disk space for the decoded images.
        TrainingError: a model has learned from images of the manifest's test split.
    """
    if len(options.models) < 2:
        raise UsageError(f"expected at least two models to average, got {len(options.models)}")
    rows = read_manifest(options.manifest)
    hashes = card_split_hashes(rows, options.models, options.manifest)
    networks = []
    for path in options.models:
        network, _ = loader.load(path)
        if missing := OUTPUTS - set(network.output):
            raise InvalidModel(
                f"{path}: expected a cnn7 or efficientnet_lite0, got {network.name} without the "
                f"outputs {', '.join(sorted(missing))}"
            )
        networks.append(network)
    card = Card(
        name=NAME,
        views=8,
        training_data={"images_and_malignant": count_images(rows)},
        split_hashes=hashes,
        versions=installed_versions(),
        command=options.command,
        created=datetime.date.today().isoformat(),
    )
    validation = read_splits(options.manifest).val
    images = open_images(validation, options.manifest.parent / "cache")
    return calibrate(average(networks), card, options.out, images, validation)


def average(networks: Sequence[keras.Model]) -> keras.Model:
    """Make a network with the mean logit of several networks.

    All networks have the same weight, so nothing is fitted. Heat maps are resized to the largest
    one.

    Args:
        networks: networks with the outputs of ``cnn7``, for raw pixels (n, 500, 500, 3).

    Returns:
        A network with the same input and outputs.
    """
    pixels = keras.Input((SIZE, SIZE, 3), name="pixels")
    parts = [network(pixels) for network in _with_different_names(networks)]
    logits = [layers.GlobalAveragePooling2D()(part["heat_map"]) for part in parts]
    side = max(part["heat_map"].shape[1] for part in parts)
    maps = [layers.Resizing(side, side)(part["heat_map"]) for part in parts]
    outputs = {
        "malignant": layers.Activation("sigmoid", name="malignant")(layers.Average()(logits)),
        "lesion": layers.Average(name="lesion")([part["lesion"] for part in parts]),
        "kind": layers.Average(name="kind")([part["kind"] for part in parts]),
        "heat_map": layers.Average(name="heat_map")(maps),
    }
    return keras.Model(pixels, outputs, name=NAME)


def _with_different_names(networks: Sequence[keras.Model]) -> list[keras.Model]:
    """Copy the networks; Keras stores the weights of each under its name."""
    seen = Counter[str]()
    copies = []
    for network in networks:
        seen[network.name] += 1
        config = {**network.get_config(), "name": f"{network.name}_{seen[network.name]}"}
        copy = keras.Model.from_config(config)
        copy.set_weights(network.get_weights())
        copies.append(copy)
    return copies
