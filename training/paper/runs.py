"""One run of the paper's experiment: trained, saved and tested."""

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
from training.fit.batches import Examples, open_images
from training.fit.device import choose_precision
from training.fit.loop import Validation, fit, last_weights, last_weights_file
from training.fit.recipes import PAPER, Recipe
from training.paper import final_test
from training.paper.images import Chosen
from training.paper.options import ReproduceOptions
from training.paper.plan import FINAL, RUNS, Run
from training.paper.results import RunResult


def perform(run: Run, chosen: Chosen, options: ReproduceOptions) -> RunResult:
    """Train, save and test one network; go on after its last whole epoch if it was stopped."""
    images = chosen.balanced if run.balanced else chosen.imbalanced
    rows = {split: [row for row in images if row.split == split] for split in ("train", "val")}
    folder = options.out / f"{run.name}.run"
    recipe = _recipe(run, options.epochs)
    # A later stage sees other random changes of the images than an earlier one.
    seed = options.seed + _stage(run)
    keras.utils.set_random_seed(options.seed)
    precision = choose_precision()
    network = networks.build_to_train(run.network)
    if run.after:
        network.set_weights(last_weights(options.out / f"{run.after}.run"))
    begun, epochs_before = time.process_time(), _claim(run, recipe, seed, rows, options.out)
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
    seconds = (time.process_time() - begun) / max(1, len(history) - epochs_before)
    judge = _judge(run, last_weights(folder), options.out)
    result: RunResult = {
        "name": run.name,
        "network": run.network,
        "epochs": recipe.epochs,
        "cpu_hours": round(seconds * len(history) / 3600, 3),
        "precision": precision,
        "history": history,
        "held_out": final_test.held_out(chosen.held_out, judge, options.seed),
    }
    if run.name in FINAL:
        result["everything"] = final_test.everything(chosen.everything, judge, options.seed)
    return result


def _claim(run: Run, recipe: Recipe, seed: int, rows: dict[str, list[Row]], out: Path) -> int:
    """Note what the run's checkpoints belong to; how many epochs it has done before.

    Raises:
        ResumeError: the folder's checkpoints belong to another run.
    """
    named: dict[str, Sequence[Row]] = {f"set of {name} images": rows[name] for name in rows}
    before: dict[str, Path | str] = (
        {"after": last_weights_file(out / f"{run.after}.run")} if run.after else {}
    )
    begun = record.describe_run(run.network, recipe, seed, named, **before)
    folder = out / f"{run.name}.run"
    state = folder / "state.json"
    if not state.exists():
        record.begin(folder, begun)
        return 0
    record.check(folder, begun)
    return len(json.loads(state.read_text(encoding="utf-8")))


def _recipe(run: Run, epochs: int) -> Recipe:
    return dataclasses.replace(
        PAPER,
        balanced=False,
        optimizer=run.optimizer,
        plateau=run.rules,
        epochs=max(1, round(epochs * run.share)),
    )


def _stage(run: Run) -> int:
    """Runs before this one in its chain of stages."""
    before = next((other for other in RUNS if other.name == run.after), None)
    return 0 if before is None else 1 + _stage(before)


def _judge(run: Run, weights: list[np.ndarray], out: Path) -> Judge:
    """The network as a model file, at threshold 0.5 as the paper's."""
    # Built again in float32, so that the file does not ask its reader for bfloat16.
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
    # Keras is loaded already, and a GPU that trains can test too.
    return Judge(open_engine(path, "keras"), card)
