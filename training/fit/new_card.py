"""Make the card of a new model: how it is trained, and on what."""

import datetime
import platform
import sys
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from lens import artifact
from lens.card import Card
from training import networks
from training.datasets.keep_splits import images_learned
from training.datasets.manifest import Row, split_hashes
from training.fit.callbacks import TrainingError
from training.fit.options import TrainOptions


def new_card(options: TrainOptions, rows: list[Row]) -> Card:
    """Make the card of a model to train, without its operating points.

    Args:
        options: the options of ``training.train``.
        rows: the rows of the manifest.

    Raises:
        TrainingError: a model to learn from has learned from images of the test split.
    """
    return Card(
        name=options.network,
        views=views_per_photo(options.network),
        training_data={
            "images_and_malignant": count_images(rows),
            "recipe": options.recipe,
            "changed": dict(setting.split("=", 1) for setting in options.overrides),
        },
        split_hashes=card_split_hashes(rows, options.parents(), options.manifest),
        versions=installed_versions(),
        command=options.command,
        created=datetime.date.today().isoformat(),
    )


def installed_versions() -> dict[str, str]:
    """The versions of Python and of the libraries that determine a model file."""
    packages = ("keras", "tensorflow", "numpy", "pillow")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def count_images(rows: list[Row]) -> dict[str, dict[str, list[int]]]:
    """Count the images by source and split.

    Returns:
        By source and then by split: the number of images, and of the malignant ones among them.
    """
    counts: dict[str, dict[str, list[int]]] = {}
    for (source, split), total in sorted(Counter((r.source, r.split) for r in rows).items()):
        malignant = sum(r.malignant for r in rows if (r.source, r.split) == (source, split))
        counts.setdefault(source, {})[split] = [total, malignant]
    return counts


def views_per_photo(network: str) -> int:
    """The maximum number of views per verdict; the paper tested its networks on one view."""
    return 1 if network in networks.PAPER else 8


def card_split_hashes(
    rows: list[Row], learned_from: Iterable[Path], manifest: Path | None = None
) -> dict[str, str]:
    """The split hashes for a model's card.

    A model that starts from another one, or is distilled from it, has indirectly learned from that
    model's photos. If it is unknown whether these include test photos, the hash of the test split
    is left out.

    Args:
        rows: the rows of the current manifest.
        learned_from: model files that the new model starts from or learns from.
        manifest: the manifest's file, if there may be copies of earlier manifests beside it.

    Raises:
        TrainingError: one of the models has learned from images of the test split.
    """
    hashes = split_hashes(rows)
    unknown = []
    for path in learned_from:
        parent_hashes = artifact.read_card(path).split_hashes
        if parent_hashes.get("test") == hashes["test"]:
            continue
        test = [row for row in rows if row.split == "test"]
        learned = images_learned(parent_hashes, manifest, test) if manifest else None
        if learned:
            raise TrainingError(
                f"{path}: expected a model that has not learned from the test split; this one has "
                f"learned from {len(learned):,} of {len(test):,} test images, such as {learned[0]}"
            )
        if learned is None:
            unknown.append(path)
    for path in unknown:
        print(
            f"WARNING: {path} was trained with another test split, or does not record one. It may "
            "have learned from the current test photos, and the new model learns from it.",
            file=sys.stderr,
        )
    if unknown:
        del hashes["test"]
    return hashes
