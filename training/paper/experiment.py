"""Run the paper's experiment, each training run in its own process, and write the report.

This module does not import Keras: TensorFlow chooses its kernels once per process, and which
kernels are faster depends on the network.
"""

import dataclasses
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from lens.artifact import read_card, sha256
from lens.files import replacing
from training import cli
from training.datasets.manifest import read_manifest, split_hash, split_hashes
from training.paper.images import Chosen, choose, count_leaked
from training.paper.options import ReproduceOptions
from training.paper.plan import RUNS, Run
from training.paper.results import Experiment, RunResult, Served, ServedTest


class ReproduceError(cli.UsageError):
    """The experiment cannot continue; the message says why and what to do."""


def reproduce(options: ReproduceOptions) -> None:
    """Perform the runs that have no result yet, and write the report after each and at the end.

    Raises:
        ReproduceError: ``options.out`` contains another experiment.
        ManifestError: the manifest cannot be used, or lists too few images.
    """
    chosen = choose(read_manifest(options.manifest), options.images, options.seed)
    experiment = _describe(options, chosen)
    _claim_folder(options.out, experiment)
    served = [_served_results(model, chosen, options) for model in options.compare]
    results: dict[str, RunResult] = {}
    for number, run in enumerate(RUNS, start=1):
        path = options.out / f"{run.name}.json"
        done = path.exists()
        print(f"[{number}/{len(RUNS)}] {run.name}: {'already done' if done else run}", flush=True)
        if not done:
            _write_json(path, _in_child_process(_perform, run, chosen, options))
        results[run.name] = json.loads(path.read_text(encoding="utf-8"))
        if not done or number == len(RUNS):
            names = [run.name for run in RUNS]
            _in_child_process(_write_report, experiment, results, served, names, options.report)


def _in_child_process(work: Callable[..., Any], *arguments: Any) -> Any:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=_end_with_parent) as child:
        return child.submit(work, *arguments).result()


def _end_with_parent() -> None:
    """End this process as soon as its parent has ended.

    Otherwise, if only the parent were killed, the child would continue training for hours, and
    write to the same checkpoints as the next run.
    """
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _perform(run: Run, chosen: Chosen, options: ReproduceOptions) -> RunResult:
    cli.load_keras(run.network)
    from training.paper.runs import perform

    return perform(run, chosen, options)


def _served_results(model: Path, chosen: Chosen, options: ReproduceOptions) -> Served:
    """The results of a model file on the held-out images; a changed file is tested again."""
    path = options.out / f"served-{model.stem}.json"
    tested: ServedTest | None = json.loads(path.read_text("utf-8")) if path.exists() else None
    if tested is None or tested.get("sha256") != sha256(model):
        tested = _in_child_process(_test_served, model, chosen, options)
        _write_json(path, tested)
    test_split = split_hashes(read_manifest(options.manifest))["test"]
    set_aside = read_card(model).split_hashes.get("test") == test_split
    return Served(**tested, set_aside=set_aside)


def _test_served(model: Path, chosen: Chosen, options: ReproduceOptions) -> ServedTest:
    cli.load_keras()
    from training.paper.final_test import test_served

    return test_served(model, chosen.held_out, options.seed)


def _write_report(*arguments: Any) -> None:
    cli.load_keras()
    from training.paper.report import write_report

    write_report(*arguments)


def _describe(options: ReproduceOptions, chosen: Chosen) -> Experiment:
    """Describe the experiment: two commands with the same description may share their results."""
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
        "shared_groups": count_leaked(chosen.balanced),
        "trained_among_everything": [
            sum(row.path in trained and row.malignant == m for row in chosen.everything)
            for m in (0, 1)
        ],
    }


def _claim_folder(out: Path, experiment: Experiment) -> None:
    """Record which experiment the folder belongs to.

    Raises:
        ReproduceError: the folder contains results of another experiment.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / "experiment.json"
    if not path.exists():
        _write_json(path, experiment)
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    for name, value in experiment.items():
        if found.get(name) != value:
            raise ReproduceError(
                f"{out}: contains runs of another experiment ({name}: {found.get(name)} there, "
                f"{value} here); choose another --out, or delete this folder"
            )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
