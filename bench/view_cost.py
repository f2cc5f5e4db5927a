"""Measure what a view costs with each variant of cnn7 in ``bench.variants``, relative to cnn7.

    python -m bench.view_cost

The variants take turns over several rounds, so that other load on the machine affects all of them.
"""

import argparse
from typing import Any

import numpy as np

from bench.network import median_ms, random_image
from lens.images import SIZE
from lens.openvino_runtime import precisions, run_options
from training import cli

_SECONDS = 0.3  # For each variant in each round.


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.view_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="number of rounds (default 10)")
    rounds = parser.parse_args().rounds
    cli.load_keras()
    from bench.variants import VARIANTS

    networks = {name: build() for name, build in VARIANTS.items()}
    compiled = {name: _compile(network) for name, network in networks.items()}
    image = random_image(np.float32)
    times: dict[str, list[float]] = {name: [] for name in compiled}
    for _ in range(rounds):
        for name, run in compiled.items():
            times[name].append(median_ms(run, image, _SECONDS))
    for name, network in networks.items():
        best = min(times[name])
        print(
            f"{name:10} {network.count_params():9,} parameters {best:6.2f} ms "
            f"{best / min(times['base']):5.2f}x"
        )


def _compile(network: Any) -> Any:
    import openvino

    from training.fit.distillation import to_openvino

    model = to_openvino(network, (1, SIZE, SIZE, 3))
    # One thread, so that the time is the CPU time that a view costs the server.
    return openvino.Core().compile_model(model, "CPU", run_options(precisions()[0], threads=1))


if __name__ == "__main__":
    main()
