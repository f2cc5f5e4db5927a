"""Measure the network alone, one image at a time: our engine, OpenVINO's benchmark and others.

Each runs in its own process. They take turns over several rounds, so that other load on the machine
affects all of them. Writes bench/network.json.
"""

import argparse
import functools
import importlib.util
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lens import model_cache
from lens.engine import open_engine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.network", description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "melanoma.h5")
    parser.add_argument(
        "--seconds", type=int, default=3, help="duration of each measurement in seconds (default 3)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default 3)")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for network.json")
    arguments = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CI"] = "true"  # Otherwise OpenVINO's tools send usage data to an analytics service.

    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        if open_engine(arguments.model, "openvino", cache).name != "openvino":
            raise SystemExit("OpenVINO does not serve this model; the log line above says why.")
        contenders = _contenders(arguments.model.resolve(), cache, arguments.seconds)
        medians: dict[str, list[float]] = {name: [] for name in contenders}
        for round_ in range(arguments.rounds):
            for name, measure in contenders.items():
                medians[name].append(measure())
                print(f"round {round_ + 1}: {name:28} {medians[name][-1]:7.2f} ms", flush=True)

    reference = min(medians["OpenVINO's benchmark_app"])
    print(
        "\nBest round, one image of 500 px, all cores: ms, and relative to OpenVINO's own benchmark"
    )
    report = {}
    for name, rounds in medians.items():
        report[name] = {"best_ms": min(rounds), "ratio": min(rounds) / reference, "rounds": rounds}
        print(f"  {name:28} {min(rounds):7.2f} ms {min(rounds) / reference:7.2f}x")
    if "ONNX Runtime" not in contenders:
        print("  ONNX Runtime: not measured (pip install onnxruntime tf2onnx)")
    (arguments.out / "network.json").write_text(json.dumps(report, indent=1) + "\n")


def _contenders(model: Path, cache: Path, seconds: int) -> dict[str, Callable[[], float]]:
    """For each name, a function that measures once and returns the median in ms."""
    own: dict[str, Callable[..., float]] = {
        "MoleLens engine": _engine,
        "Keras, tf.function": _tf_function,
        "Keras, model.predict": _predict,
    }
    if all(importlib.util.find_spec(name) for name in ("onnxruntime", "tf2onnx")):
        own["ONNX Runtime"] = _onnx
    converted = model_cache.converted(model, cache)
    return {
        "OpenVINO's benchmark_app": lambda: _benchmark_app(converted, seconds),
        **{
            name: functools.partial(_in_new_process, measure, model, cache, seconds)
            for name, measure in own.items()
        },
    }


def _in_new_process(measure: Callable[..., float], *arguments: Any) -> float:
    """Run in a new process, so that TensorFlow's and OpenVINO's threads do not compete."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, arguments)


def _benchmark_app(converted: model_cache.Converted, seconds: int) -> float:
    command = [
        *(sys.executable, "-c", "from openvino.tools.benchmark.main import main; main()"),
        *("-m", str(converted.xml), "-t", str(seconds), "-hint", "latency", "-api", "sync"),
        *("-infer_precision", converted.precision),
    ]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    median = re.search(r"Median:\s+([\d.]+) ms", output)
    if not median:
        raise RuntimeError(f"expected a line 'Median: ... ms' from benchmark_app, got:\n{output}")
    return float(median[1])


def _engine(model: Path, cache: Path, seconds: int) -> float:
    engine = open_engine(model, "openvino", cache)
    return median_ms(engine.run, random_image(np.uint8), seconds)


def _tf_function(model: Path, _cache: Path, seconds: int) -> float:
    return median_ms(open_engine(model, "keras").run, random_image(np.uint8), seconds)


def _predict(model: Path, _cache: Path, seconds: int) -> float:
    import keras

    network = keras.models.load_model(model, compile=False)
    return median_ms(
        lambda image: network.predict(image, verbose=0), random_image(np.float32), seconds
    )


def _onnx(model: Path, cache: Path, seconds: int) -> float:
    import keras
    import onnxruntime

    path = cache / "model.onnx"
    if not path.exists():
        network = keras.models.load_model(model, compile=False)
        network(random_image(np.float32))  # Keras can only export a model that was called.
        network.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return median_ms(
        lambda image: session.run(None, {name: image}), random_image(np.float32), seconds
    )


def random_image(dtype: Any) -> np.ndarray:
    """Random pixels 0-255, (1, 500, 500, 3)."""
    return np.random.default_rng(0).integers(0, 256, (1, 500, 500, 3)).astype(dtype)


def median_ms(run: Callable[[np.ndarray], Any], image: np.ndarray, seconds: float) -> float:
    """Median time of ``run(image)`` in ms, measured for some seconds."""
    for _ in range(3):
        run(image)
    times = []
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = time.perf_counter()
        run(image)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
