"""The paper's three networks, with its exact parameter counts, and ``cnn7``, which MoleLens serves.

All take raw pixels 0-255 of shape (n, size, size, 3), scale them in a layer, and return a dict with
``malignant`` (n, 1), the probability of malignant.
"""

import keras
from keras import layers

from lens.images import SIZE

# (filters, kernel side) of each convolution, from the layer tables in the paper's Figures 2-4.
# The listings under Figures 3 and 4 are swapped there; the tables agree with the parameter counts.
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
    # float32 under every dtype policy: a bfloat16 probability has only three digits.
    malignant = layers.Dense(1, activation="sigmoid", dtype="float32", name="malignant")(x)
    return keras.Model(pixels, {"malignant": malignant}, name=name)


def cnn7(size: int | None = SIZE) -> keras.Model:
    """The served network: seven convolutions, 3.0 M parameters, any input size.

    The first layer averages the pixels two by two, so the convolutions get 250 px for a 500 px
    input. This makes training four times as fast on two cores. Batch normalisation is used only
    where the feature maps have at most a sixteenth of the input's side; there it costs under 5 % of
    a training step. After every convolution it would cost 60 % (10 instead of 26 images/s at 500
    px, two AVX2 cores, float32). Squeeze-and-excitation (Hu et al. 2018) and the residual
    connection cost under 1 %.

    Args:
        size: side of the input in pixels, or None for any size of at least 64.

    Returns:
        A model with the outputs of ``add_outputs``; its layer ``embedding`` outputs (n, 768).
    """
    pixels = keras.Input((size, size, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.AveragePooling2D(2)(x)
    x = layers.MaxPooling2D(2)(convolve(x, 32, kernel=5, strides=2))
    x = convolve(x, 64)
    x = layers.BatchNormalization()(layers.MaxPooling2D(2)(x))
    x = convolve(x, 128)
    x = convolve(x, 128)
    x = excite(layers.BatchNormalization()(layers.MaxPooling2D(2)(x)))
    x = layers.BatchNormalization()(convolve(x, 256))
    x = layers.Add()([x, convolve(x, 256)])
    x = excite(layers.BatchNormalization()(layers.MaxPooling2D(2)(x)))
    x = layers.BatchNormalization()(convolve(x, 768))
    return add_outputs("cnn7", pixels, x)


def add_outputs(name: str, pixels: keras.KerasTensor, x: keras.KerasTensor) -> keras.Model:
    """Add the outputs of ``cnn7`` and ``efficientnet_lite0`` to the last feature map ``x``.

    Clinical and dermoscopic photos have separate linear classifiers: a shared one is 0.01 to 0.02
    AUC worse. The network predicts the kind of photo and weights the two classifiers by that
    probability. They are applied at every position of the feature map, and the logits are averaged.
    Since both steps are linear, the result equals a classifier after global average pooling, and
    the logits before averaging are a class activation map (Zhou et al. 2016) at no extra cost.

    Args:
        name: the name of the model.
        pixels: the input, raw pixels 0-255 (n, height, width, 3).
        x: the last feature map (n, h, w, channels).

    Returns:
        A model with the outputs ``malignant`` (n, 1), probability; ``lesion`` (n, 1), probability
        that the photo shows a skin lesion at all; ``kind`` (n, 1), probability that the photo is
        clinical; ``heat_map`` (n, h, w, 1), the logit at each position, positive for malignant.
        The layer ``embedding`` is the average of ``x`` over all positions.
    """
    embedding = layers.GlobalAveragePooling2D(dtype="float32", name="embedding")(x)
    lesion = layers.Dense(1, activation="sigmoid", dtype="float32", name="lesion")(embedding)
    kind = layers.Dense(1, activation="sigmoid", dtype="float32", name="kind")(embedding)
    # Dropping whole channels of the feature map equals dropout on the pooled vector.
    kept = layers.SpatialDropout2D(0.3)(x)
    clinical = layers.Dense(1, dtype="float32", name="clinical_map")(kept)
    dermoscopic = layers.Dense(1, dtype="float32", name="dermoscopic_map")(kept)
    difference = layers.Subtract(dtype="float32")([clinical, dermoscopic])
    share = layers.Reshape((1, 1, 1), dtype="float32")(kind)
    weighted = layers.Multiply(dtype="float32")([difference, share])
    heat_map = layers.Add(dtype="float32", name="heat_map")([dermoscopic, weighted])
    logit = layers.GlobalAveragePooling2D(dtype="float32", name="logit")(heat_map)
    malignant = layers.Activation("sigmoid", dtype="float32", name="malignant")(logit)
    outputs = {"malignant": malignant, "lesion": lesion, "kind": kind, "heat_map": heat_map}
    return keras.Model(pixels, outputs, name=name)


def convolve(
    x: keras.KerasTensor, filters: int, kernel: int = 3, strides: int = 1
) -> keras.KerasTensor:
    """A convolution with ReLU that keeps the size, or divides it by ``strides``."""
    return layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        activation="relu",
        kernel_initializer="he_normal",
    )(x)


def excite(x: keras.KerasTensor) -> keras.KerasTensor:
    """Squeeze-and-excitation (Hu et al. 2018) with a quarter of the channels."""
    channels = x.shape[-1]
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Dense(channels // 4, activation="relu")(gate)
    gate = layers.Dense(channels, activation="sigmoid")(gate)
    return layers.Multiply()([x, gate])
