"""The paper's figures as printed: "Cancer Image Datasets Classification" by Liu, Wang and Peng.

docs/paper.md lists its contradictions.
"""

from typing import NamedTuple


class Layer(NamedTuple):
    """A row of the paper's layer tables: type, output shape without the batch, and parameters."""

    kind: str
    output: tuple[int, ...]
    parameters: int


def _pair(side: int, filters: int, parameters: int) -> tuple[Layer, Layer]:
    """A convolution with the given output side, and the 2 x 2 pooling after it."""
    return (
        Layer("Conv2D", (side, side, filters), parameters),
        Layer("MaxPooling2D", (side // 2, side // 2, filters), 0),
    )


def _classifier(length: int, units: int, parameters: int, last: int) -> tuple[Layer, ...]:
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
        *_classifier(21_632, 512, 11_076_096, 513),
    ),
    "cnn_v2": (
        *_pair(498, 32, 896),
        *_pair(247, 64, 18_496),
        *_pair(121, 64, 36_928),
        *_pair(58, 128, 73_856),
        *_pair(27, 256, 295_168),
        *_pair(11, 512, 1_180_160),
        *_classifier(12_800, 1024, 13_108_224, 1_025),
    ),
    "cnn_v3": (
        *_pair(488, 32, 16_256),
        *_pair(234, 64, 247_872),
        *_pair(111, 64, 200_768),
        *_pair(51, 128, 204_928),
        *_pair(23, 256, 295_168),
        *_pair(9, 512, 1_180_160),
        *_classifier(8_192, 1024, 8_389_632, 1_025),
    ),
}
"""The layer tables in Figures 2 to 4."""

PARAMETERS = {"cnn_v1": 11_354_369, "cnn_v2": 14_714_753, "cnn_v3": 10_535_809}
"""The total parameters in Figures 2 to 4."""

EPOCHS = (60, 120, 180)
"""Last epoch of each of the three stages. Section III states 120 and 180; the first is inferred."""

STAGES = ("0.001 to 6.1e-09", "around 84 %", "88.96 %", "83.04 %")
"""Learning rates, last and highest training accuracy, and validation accuracy, from section III and
its log of epochs 172 to 180."""

CORRECT = {
    "benign": "28,085 / 32,542 = 0.8599656",
    "malignant": "441 / 584 = 0.7037672",
    "overall": "28,526 / 33,128 = 0.58721",
}
"""Section IV: correct answers, images, and their quotient as printed."""

SPECIFICITY = 0.8599656
"""The paper's share of benign images called benign, from section IV."""
