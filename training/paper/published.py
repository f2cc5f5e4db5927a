"""What the paper prints, as it prints it: "Cancer Image Datasets Classification" by Liu, Wang and
Peng. ``training.reproduce`` sets its own figures beside these and computes where they disagree.
"""

from typing import NamedTuple


class Layer(NamedTuple):
    """A line of the paper's tables of layers: kind, output without the batch, parameters."""

    kind: str
    output: tuple[int, ...]
    parameters: int


def _pair(side: int, filters: int, parameters: int) -> tuple[Layer, Layer]:
    """A convolution of the given output side and the 2 x 2 pooling behind it."""
    return (
        Layer("Conv2D", (side, side, filters), parameters),
        Layer("MaxPooling2D", (side // 2, side // 2, filters), 0),
    )


def _top(length: int, units: int, parameters: int, last: int) -> tuple[Layer, ...]:
    return (
        Layer("Flatten", (length,), 0),
        Layer("Dropout", (length,), 0),
        Layer("Dense", (units,), parameters),
        Layer("Dense", (1,), last),
    )


LAYERS = {
    "cnn_v1": (
        *_pair(498, 32, 896),
        *_pair(247, 64, 18_496),
        *_pair(121, 64, 36_928),
        *_pair(58, 128, 73_856),
        *_pair(27, 128, 147_584),
        *_top(21_632, 512, 11_076_096, 513),
    ),
    "cnn_v2": (
        *_pair(498, 32, 896),
        *_pair(247, 64, 18_496),
        *_pair(121, 64, 36_928),
        *_pair(58, 128, 73_856),
        *_pair(27, 256, 295_168),
        *_pair(11, 512, 1_180_160),
        *_top(12_800, 1024, 13_108_224, 1_025),
    ),
    "cnn_v3": (
        *_pair(488, 32, 16_256),
        *_pair(234, 64, 247_872),
        *_pair(111, 64, 200_768),
        *_pair(51, 128, 204_928),
        *_pair(23, 256, 295_168),
        *_pair(9, 512, 1_180_160),
        *_top(8_192, 1024, 8_389_632, 1_025),
    ),
}
"""Figures 2 to 4."""

PARAMETERS = {"cnn_v1": 11_354_369, "cnn_v2": 14_714_753, "cnn_v3": 10_535_809}
"""The totals under Figures 2 to 4."""

LISTED_KERNELS = {"cnn_v2": (13, 11, 7, 5, 3, 3), "cnn_v3": (3, 3, 3, 3, 3, 3)}
"""Kernel sides in the listings under Figure 3 (version 2.0) and Figure 4 (version 3.0)."""

CONVOLUTIONS_IN_WORDS = {"cnn_v1": 4, "cnn_v2": 7}
"""The text's numbers of convolutional layers."""

ACCURACY = {
    "cnn_v1": "around 50 %",
    "cnn_v2": "around 70 %",
    "cnn_v3": "no better than version 2.0",
}
"""Section II B; the paper does not say on which images."""

OPTIMIZERS = {"sgd": "best, finally about 85 %", "adam": "no figure", "rmsprop": "no figure"}
"""Section II C."""

IMBALANCED = "up to 98 %"
"""Section II A: accuracy when the training images were benign to malignant 12:1."""

EPOCHS = (60, 120, 180)
"""Last epoch of each of its three runs: section III names 120 and 180, thirds the first."""

STAGED = {
    "training accuracy": "around 84 %, highest 88.96 %",
    "validation accuracy": "83.04 %",
}
"""Section III and its log of epochs 172 to 180."""

FIRST_RATE = 0.001
"""The learning rate in its text and in its listing."""

LOGGED_RATES = (2.4414061883243905e-08, 1.2207030941624453e-08, 6.103515470812226e-09)
"""What its log reports after epochs 173, 176 and 179."""

RIGHT = {"benign": 28_085, "malignant": 441, "overall": 28_526}
TOTALS = {"benign": 32_542, "malignant": 584, "overall": 33_128}
SHARES = {"benign": 0.8599656, "malignant": 0.7037672, "overall": 0.58721}
"""Section IV: right answers, images, and their quotient as printed."""
