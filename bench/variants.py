"""Variants of cnn7 for ``bench.trial``: seven convolutions and at most five million parameters.

Each takes raw pixels 0-255 (n, side, side, 3) of any side and has the outputs of ``cnn7``.
"""

import functools
from collections.abc import Callable

import keras
from keras import layers

from training.networks import cnn7
from training.networks.cnn import add_outputs, convolve, excite


def variant(
    name: str, *, deep: int = 256, last: int = 768, fine_stem: bool = False, grey: bool = False
) -> keras.Model:
    """Build cnn7 with changes.

    Args:
        name: the name of the model.
        deep: filters of the fifth and sixth convolution.
        last: filters of the last convolution, which is the size of the embedding.
        fine_stem: the first convolution gets all pixels, not the average of two by two.
        grey: correct the colour of the light first.
    """
    pixels = keras.Input((None, None, 3), name="pixels")
    x = ShadesOfGrey()(pixels) if grey else pixels
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    if fine_stem:
        x = layers.MaxPooling2D(4)(convolve(x, 32, kernel=7, strides=2))
    else:
        x = layers.AveragePooling2D(2)(x)
        x = layers.MaxPooling2D(2)(convolve(x, 32, kernel=5, strides=2))
    x = convolve(x, 64)
    x = layers.BatchNormalization()(layers.MaxPooling2D(2)(x))
    x = convolve(convolve(x, 128), 128)
    x = excite(layers.BatchNormalization()(layers.MaxPooling2D(2)(x)))
    x = layers.BatchNormalization()(convolve(x, deep))
    x = layers.Add()([x, convolve(x, deep)])
    x = excite(layers.BatchNormalization()(layers.MaxPooling2D(2)(x)))
    x = layers.BatchNormalization()(convolve(x, last))
    return add_outputs(name, pixels, x)


VARIANTS: dict[str, Callable[[], keras.Model]] = {
    "base": lambda: cnn7(None),
    "stem": functools.partial(variant, "stem", fine_stem=True),
    "grey": functools.partial(variant, "grey", grey=True),
    "wide": functools.partial(variant, "wide", deep=384),
    "embedding": functools.partial(variant, "embedding", last=1280),
}


class ShadesOfGrey(layers.Layer):
    """Divides each channel by the colour of the light, estimated as a Minkowski mean of the pixels.

    Shades of grey (Finlayson and Trezzi, Color and Imaging Conference 2004); Barata et al. (IEEE
    Journal of Biomedical and Health Informatics 2015) use it for dermoscopy.
    """

    def call(self, pixels: keras.KerasTensor) -> keras.KerasTensor:
        """Correct pixels 0-255, float (n, height, width, 3); bright ones can exceed 255."""
        # Finlayson and Trezzi found the sixth power best. With keras.ops.power training is a third
        # slower.
        squares = keras.ops.square(pixels / 255)
        powers = keras.ops.square(squares) * squares
        light = (keras.ops.mean(powers, axis=(1, 2), keepdims=True) + 1e-6) ** (1 / 6)
        return pixels * keras.ops.mean(light, axis=3, keepdims=True) / light
