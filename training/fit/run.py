"""A whole training: read the manifest, train, fit the rest of the card, write the model file."""

import argparse
import datetime
import platform
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import keras

from lens import artifact, loader
from lens.card import Card
from training import networks
from training.datasets.manifest import ManifestError, Row, read_manifest, split_hash
from training.fit.batches import Examples, open_images
from training.fit.calibration import calibrate
from training.fit.device import choose_precision, distribute, host
from training.fit.distillation import IMAGENET, Lessons
from training.fit.lesion_head import refit_refusal
from training.fit.loop import TrainingError, Validation, fit
from training.fit.overrides import override
from training.fit.recipes import RECIPES
from training.plotting import plot_curves

PAPER_NETWORKS = ("cnn_v1", "cnn_v2", "cnn_v3")
NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "cnn_v1": networks.cnn_v1,
    "cnn_v2": networks.cnn_v2,
    "cnn_v3": networks.cnn_v3,
    "cnn7": networks.cnn7,
    "efficientnet_lite0": networks.efficientnet_lite0,
}


def train(options: argparse.Namespace) -> Card:
    """Train, calibrate on validation, write the model and its curves; return its card."""
    card = _card(options, read_manifest(options.manifest))
    network, history, examples, validation = learn(options)
    plot_curves(history, options.out.with_name(f"{options.out.stem}_curves.png"))
    # Built again in float32, so that the file does not ask its reader for bfloat16.
    keras.config.set_dtype_policy("float32")
    served = NETWORKS[options.network]()
    served.set_weights(network.get_weights())
    return finish(served, card, options.out, examples, validation, options.seed)


def finish(
    served: keras.Model,
    card: Card,
    path: Path,
    examples: Examples,
    validation: Validation,
    seed: int,
) -> Card:
    """Fit the refusal on training images and the rest of the card on validation; write the file."""
    if "lesion" in served.output:
        refit_refusal(served, examples, seed)
    return calibrate(served, card, path, validation.images, validation.rows)


def learn(
    options: argparse.Namespace, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> tuple[keras.Model, list[dict], Examples, Validation]:
    """Train, with more callbacks.

    Returns:
        The network, the figures of each epoch, what it learned from and what judged it.
    """
    recipe = override(RECIPES[options.recipe], options.set)
    optimizer = options.optimizer or recipe.optimizer
    epochs = options.epochs or recipe.epochs
    examples, validation = open_splits(options.manifest, options.teacher)
    keras.utils.set_random_seed(options.seed)
    distribute(recipe.stages)
    number, _ = host()
    if number:  # All end with the same weights; where they share a disk each has its own files.
        options.out = options.out.with_stem(f"{options.out.stem}.host{number}")
    precision = choose_precision()
    print(f"{len(examples.rows)} training images, {precision}, {epochs} epochs", flush=True)
    build = NETWORKS[options.network]
    # Ours take any size, so that one set of weights goes through all stages.
    network = build() if options.network in PAPER_NETWORKS else build(None)
    if options.start:
        _start_from(options.start, network)
    history = fit(
        network,
        recipe,
        examples,
        validation,
        optimizer=optimizer,
        epochs=epochs,
        seed=options.seed,
        folder=options.out.with_suffix(".run"),
        resume=options.resume,
        callbacks=callbacks,
    )
    return network, history, examples, validation


def open_splits(manifest: Path, teacher: str | None = None) -> tuple[Examples, Validation]:
    """What a manifest, and ``not_lesion.csv`` beside it, give to learn from and to validate on.

    Raises:
        ManifestError: a split lacks a class, or a file cannot be read.
        training.fit.batches.DiskFull: no room for the decoded images.
        NotATeacher: see ``training.fit.distillation``.
    """
    rows = read_manifest(manifest)
    chosen = {split: [row for row in rows if row.split == split] for split in ("train", "val")}
    _require_both_classes(manifest, chosen)
    cache = manifest.parent / "cache"
    images = {split: open_images(chosen[split], cache) for split in chosen}
    examples = Examples(
        images=images["train"],
        rows=chosen["train"],
        others=open_images(_read_others(manifest), cache),
        lessons=Lessons(teacher, images["train"]) if teacher else None,
    )
    return examples, Validation(images["val"], chosen["val"], batch=32)


def _require_both_classes(manifest: Path, chosen: dict[str, list[Row]]) -> None:
    for split, rows in chosen.items():
        if len({row.malignant for row in rows}) < 2:
            raise ManifestError(
                f"{manifest}: expected benign and malignant images in the {split} split, "
                f"got {len(rows)} images of {len({row.malignant for row in rows})} classes"
            )


def _read_others(manifest: Path) -> list[Row]:
    path = manifest.with_name("not_lesion.csv")
    return [row for row in read_manifest(path) if row.split == "train"] if path.exists() else []


def _start_from(path: Path, network: keras.Model) -> None:
    model, card = loader.load(path)
    if card.name != network.name:
        raise TrainingError(f"{path}: expected {network.name} to start from, got {card.name}")
    network.set_weights(model.get_weights())


def _card(options: argparse.Namespace, rows: list[Row]) -> Card:
    counts: dict[str, dict[str, list[int]]] = {}
    for (source, split), total in sorted(Counter((r.source, r.split) for r in rows).items()):
        malignant = sum(r.malignant for r in rows if (r.source, r.split) == (source, split))
        counts.setdefault(source, {})[split] = [total, malignant]
    packages = ("keras", "tensorflow", "numpy", "pillow")
    return Card(
        name=options.network,
        views=1 if options.network in PAPER_NETWORKS else 8,
        training_data={
            "images_and_malignant": counts,
            "recipe": options.recipe,
            "changed": dict(setting.split("=", 1) for setting in options.set),
        },
        split_hashes=set_aside(rows, [options.start, _teacher_file(options.teacher)]),
        versions={"python": platform.python_version()} | {name: version(name) for name in packages},
        # Stopped and resumed or not, the weights are the same.
        command=shlex.join(
            ["python", "-m", "training.train", *(a for a in sys.argv[1:] if a != "--resume")]
        ),
        created=datetime.date.today().isoformat(),
    )


def _teacher_file(teacher: str | None) -> Path | None:
    return Path(teacher) if teacher and teacher != IMAGENET else None


def set_aside(rows: list[Row], learned_from: Iterable[Path | None]) -> dict[str, str]:
    """Hashes of a manifest's splits, for a card; without the test split where it was not set aside.

    A model that starts from another, or is taught by it, has learned from that one's photos too.

    Args:
        rows: of the manifest in use.
        learned_from: those other models; None for none.
    """
    hashes = {
        split: split_hash([row for row in rows if row.split == split])
        for split in ("train", "val", "test")
    }
    for path in filter(None, learned_from):
        if artifact.read_card(path).split_hashes.get("test") != hashes["test"]:
            print(
                f"WARNING: {path} was trained beside another test split, or does not say; it may "
                "have learned from photos of this one, and so has what is made of it.",
                file=sys.stderr,
            )
            hashes.pop("test", None)
            break
    return hashes
