"""Convert a Keras ``.h5`` to OpenVINO and compare the two.

    python -m lens.convert MODEL.h5 FOLDER --precisions f32 [--output logit]

``lens.model_cache`` runs this in a child process, so that TensorFlow's memory is freed afterwards.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lens import artifact, model_cache
from lens.images import SIZE
from lens.loader import Network, load_network
from lens.openvino_runtime import FLOAT32, load_openvino, run_options
from lens.probability import NAMES, OUTPUTS

if TYPE_CHECKING:
    import openvino


def main() -> int:
    parser = argparse.ArgumentParser(prog="lens.convert", description=__doc__)
    parser.add_argument("model", type=Path, metavar="MODEL.h5")
    parser.add_argument(
        "folder", type=Path, help="to create, with model.xml, model.bin and record.json"
    )
    parser.add_argument(
        "--precisions", nargs="+", required=True, help="precisions that the CPU computes in"
    )
    parser.add_argument("--output", choices=OUTPUTS, default=OUTPUTS[0])
    arguments = parser.parse_args()
    try:
        network = load_network(arguments.model, arguments.output)
    except artifact.InvalidModel as error:
        print(error)
        return model_cache.EXIT_INVALID_MODEL
    write(network, arguments.folder, arguments.precisions)
    return 0


def write(network: Network, folder: Path, precisions: list[str]) -> None:
    """Write the converted network and its record to a new folder."""
    openvino = load_openvino()
    folder.mkdir()
    xml = folder / model_cache.FILES[0]
    keras_function = _traced(network)
    # Weights stay in float32 on disk; half precision would save a few MB and lose accuracy.
    openvino.save_model(to_openvino(keras_function), xml, compress_to_fp16=False)
    # The accuracy of third-party networks in bf16 is unknown.
    allowed = precisions if network.own else FLOAT32
    precision, difference = choose_precision(keras_function, xml, allowed)
    record = {
        "precision": precision,
        "difference": difference,
        "sha256": {name: artifact.sha256(folder / name) for name in model_cache.FILES},
    }
    (folder / model_cache.RECORD).write_text(json.dumps(record))


def _traced(network: Network) -> Any:
    """Trace the network to a TensorFlow function of one photo, float32 (1, 500, 500, 3)."""
    import tensorflow as tf

    pixels = tf.TensorSpec((1, SIZE, SIZE, 3), tf.float32, name="pixels")
    return tf.function(network, input_signature=[pixels], autograph=False)


def to_openvino(keras_function: Any) -> "openvino.Model":
    """Convert to an OpenVINO model of one uint8 image (1, 500, 500, 3), keeping output names."""
    openvino = load_openvino()
    # Without this package the converter sends no usage data to an analytics service
    # (openvino/tools/ovc/telemetry_utils.py).
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    from openvino.frontend.tensorflow import ConversionExtension
    from openvino.tools.ovc import convert_model

    converted = convert_model(
        keras_function, extension=[ConversionExtension("ScaleAndTranslate", _resize)]
    )
    # The cast to float runs inside the graph, so Python need not copy the image.
    steps = openvino.preprocess.PrePostProcessor(converted)
    steps.input().tensor().set_element_type(openvino.Type.u8)
    return steps.build()


def _resize(node: Any) -> Any:
    """Convert ScaleAndTranslate, TensorFlow's resize with antialiasing, to two matrix products.

    OpenVINO does not support this operation. Its own resize (bilinear_pillow) takes as long, but
    its result differs by up to 0.008 grey levels; that of the products differs by 0.00005.
    """
    from openvino import opset8

    images, size = node.get_input(0), node.get_input(1).get_node().get_data()
    _, height, width, _ = images.get_shape()
    rows = opset8.constant(_resizing_weights(height, int(size[0])))
    columns = opset8.constant(_resizing_weights(width, int(size[1])))
    narrow = opset8.einsum([columns, images], "jw,nhwc->nhjc")
    return opset8.einsum([rows, narrow.output(0)], "ih,nhjc->nijc").outputs()


def _resizing_weights(old: int, new: int) -> NDArray[np.float32]:
    """The weight of each old row in each new row of TensorFlow's resize, float32 (new, old)."""
    import tensorflow as tf

    rows = np.eye(old, dtype=np.float32)[np.newaxis, :, :, np.newaxis]
    weights: NDArray[np.float32] = tf.image.resize(rows, (new, old), antialias=True).numpy()
    return weights[0, :, :, 0]


def choose_precision(keras_function: Any, xml: Path, precisions: list[str]) -> tuple[str, float]:
    """Compare with Keras, and choose bf16 if it is allowed and changes little.

    Returns:
        "bf16" or "f32", and the largest difference in float32 of a probability from Keras's.
    """
    images = parity_images()[:, np.newaxis]
    expected = [_probabilities(keras_function(i.astype(np.float32))) for i in images]
    difference = _difference(expected, xml, "f32", images)
    if "bf16" in precisions and difference <= model_cache.MAX_DIFFERENCE:
        rounding = _difference(expected, xml, "bf16", images)
        if rounding <= model_cache.MAX_ROUNDING:  # False for NaN.
            return "bf16", difference
    return "f32", difference


def _difference(
    expected: list[list[float]], xml: Path, precision: str, images: NDArray[np.uint8]
) -> float:
    """The largest difference of a probability from the expected one."""
    compiled = load_openvino().Core().compile_model(xml, "CPU", run_options(precision))
    actual = [_probabilities(_by_name(compiled(image))) for image in images]
    return float(np.abs(np.array(actual) - np.array(expected)).max())


def parity_images() -> NDArray[np.uint8]:
    """Eight reproducible images, uint8 (8, 500, 500, 3): spots on skin, noise, black, white."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    images = []
    for size in (0.1, 0.2, 0.3, 0.4):
        skin, spot = rng.uniform((200, 140, 120), 255), rng.uniform(20, (150, 100, 90))
        edge = np.hypot(x, y * rng.uniform(0.7, 1.4)) - size * rng.uniform(0.8, 1.2, (SIZE, SIZE))
        weight = 1 / (1 + np.exp(edge * 40))[..., None]
        images.append(spot * weight + skin * (1 - weight) + rng.normal(0, 6, (SIZE, SIZE, 3)))
    images += [rng.uniform(0, 255, (SIZE, SIZE, 3)), rng.normal(128, 30, (SIZE, SIZE, 3))]
    images += [np.zeros((SIZE, SIZE, 3)), np.full((SIZE, SIZE, 3), 255.0)]
    clipped: NDArray[np.uint8] = np.clip(images, 0, 255).astype(np.uint8)
    return clipped


def _probabilities(outputs: Any) -> list[float]:
    """The network's probabilities for one image, in the order of ``NAMES``."""
    names = [name for name in NAMES if name in outputs]
    return [float(outputs[name][0, 0]) for name in names]


def _by_name(outputs: Any) -> dict[str, NDArray[np.float32]]:
    return {name: value for port, value in outputs.items() for name in port.names}


if __name__ == "__main__":
    sys.exit(main())
