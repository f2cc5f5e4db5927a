"""Measure training: the bare step, making batches, both together, and PyTorch's bare step.

Each runs in its own process. They take turns over several rounds, so that other load on the machine
affects all of them. Writes bench/train.json.
"""

import argparse
import importlib
import importlib.util
import json
import multiprocessing
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.machine import processor

HERE = Path(__file__).resolve().parent
SIZES = (256, 500)
STEP, PIPELINE, TORCH = "bare step", "pipeline", "PyTorch's bare step"
CONTENDERS = {
    STEP: ("bench.keras_training", "bare_step"),
    "feed alone": ("bench.keras_training", "feed"),
    PIPELINE: ("bench.keras_training", "pipeline"),
}
TORCH_CONTENDERS = {TORCH: ("bench.torch_training", "bare_step")}


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.train", description=__doc__)
    parser.add_argument(
        "--seconds",
        type=float,
        default=20,
        help="duration of each measurement in seconds (default 20)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default 3)")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for train.json")
    arguments = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

    contenders = CONTENDERS | (TORCH_CONTENDERS if importlib.util.find_spec("torch") else {})
    report: dict[str, Any] = {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": processor(),
        "seconds": arguments.seconds,
        "sizes": {},
    }
    print(report["machine"])
    with tempfile.TemporaryDirectory() as folder:
        batches = {size: Path(folder) / f"{size}.npz" for size in SIZES}
        for size, path in batches.items():
            _in_new_process("bench.keras_training", "save_batch", size, path)
        for size, path in batches.items():
            rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
            for number in range(arguments.rounds):
                for name, function in contenders.items():
                    measured = _in_new_process(*function, size, path, arguments.seconds)
                    rounds[name].append(measured)
                    rate = measured["images_per_s"]
                    print(f"round {number + 1}: {size} px, {name:20} {rate:8.1f} images/s")
            best = {n: max(r, key=lambda one: one["images_per_s"]) for n, r in rounds.items()}
            report["sizes"][size] = {"best": best, "rounds": rounds, "ratios": _ratios(best)}
    _print(report)
    (arguments.out / "train.json").write_text(json.dumps(report, indent=1) + "\n")


def _in_new_process(module: str, function: str, *arguments: Any) -> Any:
    """Run in a new process, so that TensorFlow's and PyTorch's threads do not compete."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_call, (module, function, arguments))


def _call(module: str, function: str, arguments: tuple[Any, ...]) -> Any:
    if module == "bench.torch_training":
        os.environ["KERAS_BACKEND"] = "torch"  # Its imports load Keras; TensorFlow is not needed.
    return getattr(importlib.import_module(module), function)(*arguments)


def _ratios(best: dict[str, dict[str, Any]]) -> dict[str, float]:
    rates = {name: measured["images_per_s"] for name, measured in best.items()}
    return {name: rates[PIPELINE] / rates[name] for name in (STEP, TORCH) if name in rates}


def _print(report: dict[str, Any]) -> None:
    limits = {STEP: 0.9, TORCH: 3.0}
    print("\nThe pipeline relative to the others, best round of each")
    for size, measured in report["sizes"].items():
        for name, ratio in measured["ratios"].items():
            verdict = "reached" if ratio >= limits[name] else "NOT REACHED"
            print(f"  {size} px, over {name:20} {limits[name]:4.1f}: {ratio:5.2f}  {verdict}")
        if TORCH not in measured["ratios"]:
            print(f"  {size} px, over {TORCH}: not measured (pip install torch)")


if __name__ == "__main__":
    main()
