"""Run a complete training: read the manifest, train, calibrate, and write the model file."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from lens import loader
from lens.card import Card
from lens.files import replacing
from lens.images import SIZE
from training import networks
from training.cli import UsageError
from training.datasets.manifest import Row, read_manifest
from training.fit import record
from training.fit.batches import Examples
from training.fit.calibration import calibrate
from training.fit.callbacks import Logs, TrainingError
from training.fit.checkpoints import Validation
from training.fit.device import choose_precision, distribute, host
from training.fit.distillation import Teacher
from training.fit.image_cache import open_images
from training.fit.last_layers import refit_malignant, refit_refusal
from training.fit.loop import fit
from training.fit.new_card import new_card
from training.fit.options import TrainOptions
from training.fit.splits import Splits, read_splits
from training.plotting import plot_curves


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, the metrics of each epoch, and its training and validation images."""

    network: keras.Model
    history: list[Logs]
    examples: Examples
    validation: Validation


def train(options: TrainOptions) -> Card:
    """Train, calibrate, and write the model file and its training curves.

    Returns:
        The card in the model file.

    Raises:
        CommandError: training cannot start or continue; the message says why.
        InvalidModel: the file of ``--start`` or ``--teacher`` is not a valid model.
    """
    card = new_card(options, read_manifest(options.manifest))
    distribute(options.full_recipe().stages)
    number, _ = host()
    if number:  # All hosts get the same weights, and may share a disk.
        out = options.out.with_stem(f"{options.out.stem}.host{number}")
        options = dataclasses.replace(options, out=out)
    trained = train_network(options)
    # Build the network again in float32: a file with bfloat16 layers would be slow on most CPUs.
    keras.config.set_dtype_policy("float32")
    served = networks.build(options.network)
    served.set_weights(trained.network.get_weights())
    if "kind" in served.output:
        refit_malignant(served, trained.examples.images, trained.examples.rows)
    with replacing(options.out.with_name(f"{options.out.stem}_curves.png")) as curves:
        plot_curves(trained.history, curves)
        return finish(served, card, options.out, trained.examples, trained.validation, options.seed)


def finish(
    served: keras.Model,
    card: Card,
    path: Path,
    examples: Examples,
    validation: Validation,
    seed: int,
) -> Card:
    """Refit the refusal on the training images, calibrate on validation, and write the file."""
    if "lesion" in served.output:
        refit_refusal(served, examples, seed)
    return calibrate(served, card, path, validation.images, validation.rows)


def train_network(
    options: TrainOptions, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> TrainedNetwork:
    """Train a network.

    Args:
        options: the options of ``training.train``.
        callbacks: further callbacks, called last.

    Raises:
        UsageError: the network cannot take images of the recipe's sizes.
        ResumeError: the checkpoints belong to another run.
        TrainingError: the model to start from is another network, or the loss is not finite.
        ManifestError: the manifest, or an image that it lists, cannot be read.
        DiskFull: there is not enough disk space for the decoded images.
        NotATeacher: the teacher is not suitable.
    """
    recipe = options.full_recipe()
    if options.network in networks.PAPER and any(stage.size != SIZE for stage in recipe.stages):
        raise UsageError(
            f"{options.network} takes only images of {SIZE} px, the recipe {options.recipe} has "
            f"others; use --recipe paper, or --set stages.0.size={SIZE} for each stage"
        )
    splits = read_splits(options.manifest)
    folder = options.out.with_suffix(".run")
    run = _describe(options, splits)
    if options.resume:  # Check before decoding, which can take an hour.
        record.check(folder, run)
    examples, validation = open_splits(splits, options.manifest.parent / "cache", options.teacher)
    keras.utils.set_random_seed(options.seed)
    precision = choose_precision()
    print(f"{len(examples.rows)} training images, {precision}, {recipe.epochs} epochs", flush=True)
    network = networks.build_to_train(options.network)
    if options.start:
        _start_from(options.start, network)
    if not options.resume:
        record.begin(folder, run)
    history = fit(
        network,
        recipe,
        examples,
        validation,
        seed=options.seed,
        folder=folder,
        resume=options.resume,
        callbacks=callbacks,
    )
    return TrainedNetwork(network, history, examples, validation)


def _describe(options: TrainOptions, splits: Splits) -> record.Record:
    parents: dict[str, Path | str] = {}
    if options.start:
        parents["start"] = options.start
    if options.teacher:
        parents["teacher"] = options.teacher_file() or options.teacher
    rows: dict[str, Sequence[Row]] = {
        "set of training images": splits.train,
        "set of validation images": splits.val,
        "set of images of other things": splits.others,
    }
    return record.describe_run(
        options.network, options.full_recipe(), options.seed, rows, **parents
    )


def open_splits(
    splits: Splits, cache: Path, teacher: str | None = None
) -> tuple[Examples, Validation]:
    """Open the training and validation images, and the teacher if there is one.

    Raises:
        ManifestError: an image cannot be read.
        DiskFull: there is not enough disk space for the decoded images.
        NotATeacher: the teacher is not suitable.
    """
    images = open_images(splits.train, cache)
    validation = Validation(open_images(splits.val, cache), splits.val, batch=32)
    others = open_images(splits.others, cache)
    opened = Teacher(teacher, images) if teacher else None
    return Examples(images, splits.train, others, opened), validation


def _start_from(path: Path, network: keras.Model) -> None:
    model, card = loader.load(path)
    if card.name != network.name:
        raise TrainingError(f"{path}: expected {network.name} to start from, got {card.name}")
    network.set_weights(model.get_weights())


def describe(card: Card, out: Path, manifest: Path) -> str:
    """Describe what was written, and which command comes next."""
    points = "".join(
        f"{out}: {kind} photos: threshold {point.threshold:.3f} ({point.threshold_rule}), "
        f"temperature {point.temperature:.2f}\n"
        for kind, point in card.distinct_points().items()
    )
    return f"{points}next: python -m training.evaluate {out} --manifest {manifest}"
