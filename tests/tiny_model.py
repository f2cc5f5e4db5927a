"""Build a Keras model of a few weights: a dark spot is malignant, a blue picture is not a lesion.

    python tests/tiny_model.py OUT.h5

It runs in a separate process, so that the tests' own process never imports TensorFlow.
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
# In the format of training.evaluate: value, lower limit and upper limit.
FIGURES = {
    "n": 15,
    "malignant": 5,
    "auc": [0.931, 0.912, 0.948],
    "sensitivity": [0.884, 0.851, 0.913],
    "specificity": [0.862, 0.845, 0.878],
}


def set_weights(layer: "keras.Layer", kernel: list[float], bias: float) -> None:  # noqa: F821
    layer.set_weights([np.reshape(kernel, layer.kernel.shape), np.array([bias])])


def build() -> "keras.Model":  # noqa: F821
    import keras
    from keras import layers

    pixels = keras.Input((500, 500, 3), name="pixels")
    coarse = layers.AveragePooling2D(20)(layers.Rescaling(1 / 255)(pixels))
    dark = layers.Conv2D(1, 1, activation="relu", name="dark")
    red = layers.Conv2D(1, 1, name="red")
    heat = layers.Rescaling(10.0, name="heat_map")(dark(coarse))
    pool = layers.GlobalAveragePooling2D()
    malignant = layers.Dense(1, activation="sigmoid", name="malignant")
    lesion = layers.Dense(1, activation="sigmoid", name="lesion")
    outputs = {
        "malignant": malignant(pool(heat)),
        "heat_map": heat,
        "lesion": lesion(layers.GlobalAveragePooling2D()(red(coarse))),
    }
    model = keras.Model(pixels, outputs, name="tiny")
    set_weights(dark, [-0.3, -0.6, -0.1], 0.6)
    set_weights(red, [1.0, 0.0, -1.0], 0.0)
    set_weights(malignant, [9.0], -3.5)
    set_weights(lesion, [40.0], -2.0)
    return model


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from lens import artifact
    from lens.card import Card, OperatingPoint, for_all_kinds

    card = Card(
        name="tiny",
        calibrated=True,
        operating_points=for_all_kinds(
            OperatingPoint(lesion_threshold=0.5, threshold_rule="a test's")
        ),
        training_data={
            "images_and_malignant": {
                "painted": {"train": [70, 20], "val": [15, 5], "test": [15, 5]}
            }
        },
        metrics={"test": {"pooled": FIGURES, "painted": FIGURES}},
        command="python tests/tiny_model.py",
        created="2026-11-22",
    )
    artifact.save(build(), sys.argv[1], card)
