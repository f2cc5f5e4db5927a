"""The networks: the paper's three, parameter for parameter; ``cnn7``, the one MoleLens serves; and
``efficientnet_lite0``, its teacher.

All take raw pixels 0-255 of shape (n, size, size, 3), scale them in a layer, and return a dict with
``malignant`` (n, 1), the probability of malignant.
"""

import keras
from keras import layers

from lens.images import SIZE
from training.networks.efficientnet import feature_map, fill

# (filters, kernel side) of each convolution, from the tables of layers in the paper's Figures 2-4.
# Its listings under Figures 3 and 4 are swapped; the tables agree with the parameter counts.
_V1 = ((32, 3), (64, 3), (64, 3), (128, 3), (128, 3))
_V2 = ((32, 3), (64, 3), (64, 3), (128, 3), (256, 3), (512, 3))
_V3 = ((32, 13), (64, 11), (64, 7), (128, 5), (256, 3), (512, 3))


def cnn_v1(size: int = SIZE) -> keras.Model:
    """CNN version 1.0 of the paper (Figure 2): five convolutions; 11,354,369 parameters."""
    return _paper("cnn_v1", _V1, 512, size)


def cnn_v2(size: int = SIZE) -> keras.Model:
    """CNN version 2.0 of the paper (Figure 3), its final one: 14,714,753 parameters."""
    return _paper("cnn_v2", _V2, 1024, size)


def cnn_v3(size: int = SIZE) -> keras.Model:
    """CNN version 3.0 of the paper (Figure 4), large kernels: 10,535,809 parameters."""
    return _paper("cnn_v3", _V3, 1024, size)


def _paper(
    name: str, convolutions: tuple[tuple[int, int], ...], units: int, size: int
) -> keras.Model:
    pixels = keras.Input((size, size, 3), name="pixels")
    x = layers.Rescaling(1 / 255)(pixels)
    for filters, kernel in convolutions:
        x = layers.Conv2D(filters, kernel, activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Dense(units, activation="relu")(x)
    # float32 whatever the policy: a bfloat16 probability has three digits only.
    malignant = layers.Dense(1, activation="sigmoid", dtype="float32", name="malignant")(x)
    return keras.Model(pixels, {"malignant": malignant}, name=name)


def cnn7(size: int | None = SIZE) -> keras.Model:
    """The served network: exactly seven convolutions, about 1.7 M parameters, any input size.

    Pixels are averaged two by two first: 500 px in is 250 px to the convolutions, where two cores
    train four times as fast. Batch normalisation stands only where the maps are at most a quarter
    of the input's side / 8 (behind poolings), where it costs under 5 % of a training step; behind
    every convolution it costs 60 % (26 images/s against 10, 500 px, two AVX2 cores, float32).
    Squeeze-and-excitation (Hu et al. 2018) and one residual join cost under 1 %.

    The classifier is applied at every place of the last map and then averaged, which equals global
    average pooling before it (both are linear): the class activation map (Zhou et al. 2016) is the
    same numbers before the average, and costs nothing.

    Args:
        size: side of the input in pixels, or None for any size from 64 up.

    Returns:
        A model with the outputs ``malignant`` (n, 1), probability; ``lesion`` (n, 1), probability
        that the photo shows a skin lesion at all; ``heat_map`` (n, size / 64, size / 64, 1), the
        logit of each place, positive for malignant. Its layer ``embedding`` gives (n, 512).
    """
    pixels = keras.Input((size, size, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.AveragePooling2D(2)(x)
    x = _convolve(x, 32, kernel=8, strides=4)
    x = _convolve(x, 64)
    x = layers.BatchNormalization()(layers.MaxPooling2D(2)(x))
    x = _convolve(x, 96)
    x = _convolve(x, 128)
    x = _excite(layers.BatchNormalization()(layers.MaxPooling2D(2)(x)))
    x = layers.BatchNormalization()(_convolve(x, 192))
    x = layers.Add()([x, _convolve(x, 192)])
    x = _excite(layers.BatchNormalization()(layers.MaxPooling2D(2)(x)))
    x = layers.BatchNormalization()(_convolve(x, 512))
    return _judge("cnn7", pixels, x)


def efficientnet_lite0(size: int | None = SIZE) -> keras.Model:
    """EfficientNet-Lite0 with ImageNet weights and the heads of ``cnn7``: 3.4 M parameters.

    Pixels are averaged two by two first, as in ``cnn7``: 448 px in is the 224 px the weights were
    made at. It is trained to teach ``cnn7``, and can be served in its place.

    Args:
        size: side of the input in pixels, or None for any.

    Returns:
        A model with the outputs of ``cnn7``, the heat map (n, size / 64, size / 64, 1).

    Raises:
        MissingWeights: the package with the ImageNet weights is not installed.
    """
    pixels = keras.Input((size, size, 3), name="pixels")
    network = _judge("efficientnet_lite0", pixels, feature_map(layers.AveragePooling2D(2)(pixels)))
    fill(network)
    return network


def _judge(name: str, pixels: keras.KerasTensor, x: keras.KerasTensor) -> keras.Model:
    """Our outputs on a last map, which the layer ``embedding`` averages."""
    embedding = layers.GlobalAveragePooling2D(dtype="float32", name="embedding")(x)
    lesion = layers.Dense(1, activation="sigmoid", dtype="float32", name="lesion")(embedding)
    # Dropping whole channels of the map is dropout on the pooled vector.
    kept = layers.SpatialDropout2D(0.3)(x)
    heat_map = layers.Dense(1, dtype="float32", name="heat_map")(kept)
    logit = layers.GlobalAveragePooling2D(dtype="float32", name="logit")(heat_map)
    malignant = layers.Activation("sigmoid", dtype="float32", name="malignant")(logit)
    outputs = {"malignant": malignant, "lesion": lesion, "heat_map": heat_map}
    return keras.Model(pixels, outputs, name=name)


def _convolve(
    x: keras.KerasTensor, filters: int, kernel: int = 3, strides: int = 1
) -> keras.KerasTensor:
    return layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
    )(x)


def _excite(x: keras.KerasTensor) -> keras.KerasTensor:
    channels = x.shape[-1]
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Dense(channels // 4, activation="relu")(gate)
    gate = layers.Dense(channels, activation="sigmoid")(gate)
    return layers.Multiply()([x, gate])
