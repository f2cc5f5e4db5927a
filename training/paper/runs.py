"""Perform one run of the paper's experiment: train, save and test a network."""

import dataclasses
import datetime
import json
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from lens import artifact
from lens.card import Card, OperatingPoint, for_all_kinds
from lens.engine import open_engine
from training import networks
from training.datasets.manifest import Row
from training.evaluation.predictions import Judge
from training.fit import record
from training.fit.batches import Examples
from training.fit.checkpoints import Validation, last_weights, last_weights_file
from training.fit.device import choose_precision
from training.fit.image_cache import open_images
from training.fit.loop import fit
from training.fit.recipes import PAPER, Recipe
from training.paper import final_test
from training.paper.images import Chosen
from training.paper.options import ReproduceOptions
from training.paper.plan import FINAL, RUNS, Run
from training.paper.results import RunResult


def perform(run: Run, chosen: Chosen, options: ReproduceOptions) -> RunResult:
    """Train, save and test one network; a stopped run continues after its last complete epoch.

    Raises:
        ResumeError: the checkpoints in the run's folder belong to another run.
        ManifestError: an image is missing or cannot be decoded.
        TrainingError: the loss is not finite.
    """
    images = chosen.balanced if run.balanced else chosen.imbalanced
    rows = {split: [row for row in images if row.split == split] for split in ("train", "val")}
    folder = options.out / f"{run.name}.run"
    recipe = _recipe(run, options.epochs)
    # A later stage must not repeat the augmentation of an earlier one.
    seed = options.seed + _stage_number(run)
    keras.utils.set_random_seed(options.seed)
    precision = choose_precision()
    network = networks.build_to_train(run.network)
    if run.starts_from:
        network.set_weights(last_weights(options.out / f"{run.starts_from}.run"))
    began = time.process_time()
    epochs_before = _begin_or_resume(run, recipe, seed, rows, options.out)
    data = {split: open_images(rows[split], options.out / "cache") for split in rows}
    history = fit(
        network,
        recipe,
        Examples(data["train"], rows["train"], np.empty((0, *data["train"].shape[1:])), None),
        Validation(data["val"], rows["val"], batch=32),
        seed=seed,
        folder=folder,
        resume=epochs_before > 0,
    )
    seconds, epochs = time.process_time() - began, len(history) - epochs_before
    judge = _save_model(run, last_weights(folder), options.out)
    result: RunResult = {
        "name": run.name,
        "network": run.network,
        "epochs": recipe.epochs,
        "cpu_hours": round(seconds / epochs * len(history) / 3600, 3) if epochs else None,
        "precision": precision,
        "history": history,
        "held_out": final_test.test_held_out(chosen.held_out, judge, options.seed),
    }
    if run.name in FINAL:
        result["everything"] = final_test.test_everything(chosen.everything, judge, options.seed)
    return result


def _begin_or_resume(
    run: Run, recipe: Recipe, seed: int, rows: dict[str, list[Row]], out: Path
) -> int:
    """Record what a new run depends on, or check the record of an earlier one.

    Returns:
        The number of epochs that are already done.

    Raises:
        ResumeError: the folder's checkpoints belong to another run.
    """
    named: dict[str, Sequence[Row]] = {f"set of {name} images": rows[name] for name in rows}
    files: dict[str, Path | str] = (
        {"after": last_weights_file(out / f"{run.starts_from}.run")} if run.starts_from else {}
    )
    description = record.describe_run(run.network, recipe, seed, named, **files)
    folder = out / f"{run.name}.run"
    state = folder / "state.json"
    if not state.exists():
        record.begin(folder, description)
        return 0
    record.check(folder, description)
    return len(json.loads(state.read_text(encoding="utf-8")))


def _recipe(run: Run, epochs: int) -> Recipe:
    return dataclasses.replace(
        PAPER,
        balanced=False,
        optimizer=run.optimizer,
        plateau=run.rules,
        epochs=max(1, round(epochs * run.epoch_share)),
    )


def _stage_number(run: Run) -> int:
    """The number of stages before this run."""
    before = next((other for other in RUNS if other.name == run.starts_from), None)
    return 0 if before is None else 1 + _stage_number(before)


def _save_model(run: Run, weights: list[np.ndarray], out: Path) -> Judge:
    """Save the network as a model file with the paper's threshold of 0.5, and open it."""
    # Build the network again in float32, so that the file does not contain bfloat16 layers.
    keras.config.set_dtype_policy("float32")
    network = networks.build(run.network)
    network.set_weights(weights)
    path = out / f"{run.name}.h5"
    card = Card(
        name=run.network,
        created=datetime.date.today().isoformat(),
        operating_points=for_all_kinds(OperatingPoint(threshold_rule="the paper's")),
    )
    artifact.save(network, path, card)
    # Keras is already loaded, and can use the GPU on which the network was trained.
    return Judge(open_engine(path, "keras"), card)
