"""OpenVINO as this project uses it: without the model converter, one request at a time."""

import importlib
import sys
from typing import Any

FLOAT32 = ["f32"]
"""Precisions that every CPU can compute in."""


def load_openvino() -> Any:
    """Import OpenVINO without its model converter.

    Importing the converter takes 0.3 s and 18 MB, which a web worker has no use for, and reports an
    event to an analytics service (openvino/tools/ovc/__init__.py). OpenVINO works without it.
    """
    converter = "openvino.tools.ovc"
    if "openvino" not in sys.modules:
        sys.modules[converter] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    finally:
        if sys.modules.get(converter) is None:
            sys.modules.pop(converter, None)


def precisions() -> list[str]:
    """Precisions for this CPU, the best first: bf16 if the CPU computes in it, then f32.

    OpenVINO reports BF16 only for AVX512_BF16, AMX and AVX-VNNI-2, but uses it by default on any
    AVX-512. There it is emulated: slower and less exact (openvino, cpu plugin/plugin.cpp).
    """
    capabilities = load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ["bf16", *FLOAT32] if "BF16" in capabilities else FLOAT32


def run_options(precision: str, threads: int | None = None) -> dict[str, str | int | bool]:
    """OpenVINO's options for one request at a time on ``threads`` threads (None: every core)."""
    options: dict[str, str | int | bool] = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        # With pinning, the first threads of all worker processes would share the first core.
        "ENABLE_CPU_PINNING": False,
    }
    return options if threads is None else {**options, "INFERENCE_NUM_THREADS": threads}
