"""The runs of the paper's experiment, each trained, saved and tested once."""

import dataclasses
import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from lens import artifact
from lens.card import Card, OperatingPoint, for_all_kinds
from lens.engine import open_engine
from lens.files import replacing
from training import networks
from training.cli import UsageError
from training.datasets.manifest import Row, read_manifest, split_hash
from training.evaluation.metrics import Figures, figures
from training.evaluation.predictions import Judge, judge_all
from training.fit import record
from training.fit.batches import Examples, open_images
from training.fit.calibration import calibrate
from training.fit.checkpoints import Validation, last_weights, last_weights_file
from training.fit.device import choose_precision
from training.fit.loop import fit
from training.fit.recipes import DEFAULT, PAPER, Recipe
from training.paper import published
from training.paper.images import Chosen, choose, shared_groups
from training.paper.options import ReproduceOptions
from training.paper.report import write_report
from training.paper.results import Experiment, RunResult


class ReproduceError(UsageError):
    """The experiment cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Run:
    """One training of the experiment.

    Attributes:
        rate: learning rate where it is not the recipe's.
        balanced: whether it learns from the 1:1 images, or from those 12:1.
        after: the run whose last weights it starts from, with a fresh optimizer, as the paper did.
        ours: trained our way, for all epochs; the paper's runs take a third each.
    """

    name: str
    network: str
    optimizer: str = "sgd"
    rate: float | None = None
    balanced: bool = True
    after: str | None = None
    ours: bool = False


RUNS = (
    Run("cnn_v1", "cnn_v1"),
    Run("cnn_v2", "cnn_v2"),
    Run("cnn_v3", "cnn_v3"),
    Run("adam", "cnn_v2", optimizer="adam"),
    Run("rmsprop", "cnn_v2", optimizer="rmsprop"),
    # Not in the paper: tells whether Adam is worse, or only its rate.
    Run("adam_tenth", "cnn_v2", optimizer="adam", rate=PAPER.rates["adam"] / 10),
    # The first of the three stages is cnn_v2 above.
    Run("stage_2", "cnn_v2", after="cnn_v2"),
    Run("stage_3", "cnn_v2", after="stage_2"),
    Run("imbalanced", "cnn_v1", balanced=False),
    Run("ours", "cnn7", optimizer=DEFAULT.optimizer, ours=True),
)
FINAL = "stage_3"
"""The paper's final model; tested once more as the paper tested, its training images among them."""


def reproduce(options: ReproduceOptions) -> None:
    """Do the runs that have no result yet; write the report after each, and at the end."""
    chosen = choose(read_manifest(options.manifest), options.images, options.seed)
    experiment = _describe(options, chosen)
    _claim(options.out, experiment)
    results: dict[str, RunResult] = {}
    for number, run in enumerate(RUNS, start=1):
        path = options.out / f"{run.name}.json"
        done = path.exists()
        print(f"[{number}/{len(RUNS)}] {run.name}: {'done before' if done else run}", flush=True)
        if not done:
            _write_json(path, perform(run, chosen, options))
        results[run.name] = json.loads(path.read_text(encoding="utf-8"))
        if not done or number == len(RUNS):
            write_report(experiment, results, [run.name for run in RUNS], options.report)


def perform(run: Run, chosen: Chosen, options: ReproduceOptions) -> RunResult:
    """Train, save and test one network; go on after its last whole epoch if it was stopped."""
    rows = {
        split: [
            row
            for row in (chosen.balanced if run.balanced else chosen.imbalanced)
            if row.split == split
        ]
        for split in ("train", "val")
    }
    recipe = _recipe(run, len(rows["train"]), options.epochs)
    # A later stage sees other random changes of the images than an earlier one.
    seed = options.seed + _stage(run)
    folder = options.out / f"{run.name}.run"
    resume = (folder / "state.json").exists()
    begun = _begun(run, recipe, seed, rows, options.out)
    if resume:
        record.check(folder, begun)
    images = {split: open_images(rows[split], options.out / "cache") for split in rows}
    keras.utils.set_random_seed(options.seed)
    precision = choose_precision()
    network = networks.build_to_train(run.network)
    if run.after:
        network.set_weights(last_weights(options.out / f"{run.after}.run"))
    if not resume:
        record.begin(folder, begun)
    history = fit(
        network,
        recipe,
        Examples(images["train"], rows["train"], np.empty((0, *images["train"].shape[1:])), None),
        Validation(images["val"], rows["val"], batch=32),
        seed=seed,
        folder=folder,
        resume=resume,
    )
    # The paper kept the weights of the last epoch; its recipe averages nothing.
    weights = network.get_weights() if run.ours else last_weights(folder)
    judge = _judge(run, weights, images["val"], rows["val"], options.out)
    result: RunResult = {
        "name": run.name,
        "network": run.network,
        "epochs": recipe.epochs,
        "precision": precision,
        "history": history,
        "held_out": _test(chosen.held_out, judge, options.seed, "held-out images"),
    }
    if run.name == FINAL:
        result["everything"] = _test(chosen.everything, judge, options.seed, "all images")
    return result


def _begun(
    run: Run, recipe: Recipe, seed: int, rows: dict[str, list[Row]], out: Path
) -> record.Record:
    named: dict[str, Sequence[Row]] = {f"set of {name} images": rows[name] for name in rows}
    before: dict[str, Path | str] = (
        {"after": last_weights_file(out / f"{run.after}.run")} if run.after else {}
    )
    return record.describe_run(run.network, recipe, seed, named, **before)


def _recipe(run: Run, images: int, epochs: int) -> Recipe:
    if run.ours:
        # As many images an epoch as the paper's runs see, so that the comparison is even.
        return dataclasses.replace(DEFAULT, images_per_epoch=images, epochs=epochs)
    rates = PAPER.rates if run.rate is None else {**PAPER.rates, run.optimizer: run.rate}
    epochs = max(1, round(epochs / len(published.EPOCHS)))
    return dataclasses.replace(
        PAPER, balanced=False, rates=rates, optimizer=run.optimizer, epochs=epochs
    )


def _stage(run: Run) -> int:
    """Runs before this one in its chain of stages."""
    before = next((other for other in RUNS if other.name == run.after), None)
    return 0 if before is None else 1 + _stage(before)


def _judge(
    run: Run, weights: list[np.ndarray], images: np.ndarray, rows: list[Row], out: Path
) -> Judge:
    """The network as a model file: the paper's at threshold 0.5, ours calibrated on validation."""
    # Built again in float32, so that the file does not ask its reader for bfloat16.
    keras.config.set_dtype_policy("float32")
    network = networks.build(run.network)
    network.set_weights(weights)
    path = out / f"{run.name}.h5"
    card = Card(name=run.network, created=datetime.date.today().isoformat())
    if run.ours:
        card = calibrate(network, dataclasses.replace(card, views=8), path, images, rows)
    else:
        point = OperatingPoint(threshold_rule="the paper's")
        card = dataclasses.replace(card, operating_points=for_all_kinds(point))
        artifact.save(network, path, card)
    # Keras is loaded already, and a GPU that trains can test too.
    return Judge(open_engine(path, "keras"), card)


def _test(rows: list[Row], judge: Judge, seed: int, doing: str) -> Figures:
    return figures(judge_all(rows, judge, doing)[0], seed)


def _describe(options: ReproduceOptions, chosen: Chosen) -> Experiment:
    """What the experiment is: two runs with the same description may share their results."""
    trained = {row.path for row in chosen.balanced if row.split == "train"}
    tests = [
        [dataclasses.replace(row, split="test") for row in rows]
        for rows in (chosen.held_out, chosen.everything)
    ]
    parts = {
        "balanced": chosen.balanced,
        "imbalanced": chosen.imbalanced,
        "held_out": tests[0],
        "everything": tests[1],
    }
    return {
        "epochs": options.epochs,
        "images": options.images,
        "seed": options.seed,
        "available": chosen.available,
        "parts": {
            name: {
                split: [
                    sum(row.malignant == malignant and row.split == split for row in rows)
                    for malignant in (0, 1)
                ]
                for split in ("train", "val", "test")
            }
            for name, rows in parts.items()
        },
        "hashes": {name: split_hash(rows) for name, rows in parts.items()},
        "shared_groups": shared_groups(chosen.balanced),
        "trained_among_everything": [
            sum(row.path in trained and row.malignant == m for row in chosen.everything)
            for m in (0, 1)
        ],
    }


def _claim(out: Path, experiment: Experiment) -> None:
    """Note what the folder's results belong to; refuse results of another experiment."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "experiment.json"
    if not path.exists():
        _write_json(path, experiment)
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    for name, value in experiment.items():
        if found.get(name) != value:
            raise ReproduceError(
                f"{out} holds runs of another experiment ({name}: {found.get(name)} there, "
                f"{value} here): give another --out, or remove it"
            )


def _write_json(path: Path, content: RunResult | Experiment) -> None:
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
