"""Networks that others made: read as the Keras that saved them reads them, or refused in a line."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from lens import convert, model_cache
from lens.engine import OpenVinoEngine
from lens.loader import load_network

pytestmark = pytest.mark.filterwarnings("ignore:You are saving")

BOTH = pytest.mark.parametrize("k", [tf_keras, keras], ids=["Keras 2", "Keras 3"])
SHARP = 40.0
"""Makes made-up networks answer differently to different photos."""


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """Plain and noisy photos, uint8 (6, 500, 500, 3)."""
    return np.concatenate([convert.parity_images()[[0, 2, 5]], convert.parity_images()[[4, 6, 7]]])


@pytest.fixture(autouse=True)
def same_weights_each_time() -> None:
    keras.utils.set_random_seed(4)
    tf_keras.utils.set_random_seed(4)


def head(k: ModuleType, x: Any, units: int = 1, activation: str | None = "sigmoid") -> Any:
    """Convolution, pooling and a dense layer on pixels."""
    x = k.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    x = k.layers.GlobalAveragePooling2D()(x)
    wide = k.initializers.RandomNormal(stddev=SHARP / 10)
    return k.layers.Dense(units, activation=activation, kernel_initializer=wide)(x)


def scaled(k: ModuleType, shape: tuple = (64, 64, 3), dtype: str | None = None) -> tuple[Any, Any]:
    """Input and scaled pixels."""
    pixels = k.Input(shape, dtype=dtype)
    return pixels, k.layers.Rescaling(1 / 255)(pixels)


def sequential(k: ModuleType) -> Any:
    return k.Sequential(
        [
            k.Input((80, 80, 3)),
            k.layers.RandomFlip("horizontal"),
            k.layers.RandomRotation(0.2),
            k.layers.RandomContrast(0.2),
            k.layers.Rescaling(1 / 127.5, offset=-1),
            k.layers.Conv2D(4, 3, activation="relu"),
            k.layers.BatchNormalization(),
            k.layers.MaxPooling2D(),
            k.layers.Dropout(0.5),
            k.layers.Flatten(),
            k.layers.Dense(1, activation="sigmoid"),
        ]
    )


def functional(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, head(k, x))


def with_a_list_of_one_output(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, [head(k, x)])


def with_a_dict_of_one_output(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, {"cancer": head(k, x)})


def with_an_output_named_malignant(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, {"age": head(k, x, 5, None), "malignant": head(k, x)})


def softmax(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, head(k, x, 2, "softmax"))


def softmax_in_a_list(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, [head(k, x, 2, "softmax")])


def softmax_layer(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, k.layers.Softmax()(head(k, x, 2, None)))


def sigmoid_in_an_activation_layer(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, k.layers.Activation("sigmoid")(head(k, x, 1, None)))


def mean_of_two(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, k.layers.Average()([head(k, x), head(k, x)]))


def without_a_last_dimension(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, k.layers.Reshape(())(head(k, x)))


def with_dimensions_kept(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    x = k.layers.GlobalAveragePooling2D(keepdims=True)(k.layers.Conv2D(3, 3)(x))
    wide = k.initializers.RandomNormal(stddev=SHARP)
    y = k.layers.Conv2D(1, 1, activation="sigmoid", kernel_initializer=wide)(x)
    return k.Model(pixels, y)


def of_bytes(k: ModuleType) -> Any:
    pixels, x = scaled(k, dtype="uint8")
    return k.Model(pixels, head(k, x))


def of_half_floats(k: ModuleType) -> Any:
    pixels, x = scaled(k, dtype="float16")
    return k.Model(pixels, head(k, x))


def not_square(k: ModuleType) -> Any:
    pixels, x = scaled(k, (90, 120, 3))
    return k.Model(pixels, head(k, x))


def larger_than_photos(k: ModuleType) -> Any:
    pixels, x = scaled(k, (520, 600, 3))
    return k.Model(pixels, head(k, x))


def of_any_size(k: ModuleType) -> Any:
    pixels, x = scaled(k, (None, None, 3))
    return k.Model(pixels, head(k, x))


def that_resizes_itself(k: ModuleType) -> Any:
    pixels, x = scaled(k, (500, 500, 3))
    return k.Model(pixels, head(k, k.layers.Resizing(60, 70)(x)))


def normalized(k: ModuleType) -> Any:
    pixels = k.Input((64, 64, 3))
    x = k.layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[900.0, 800.0, 700.0])(pixels)
    return k.Model(pixels, head(k, x))


def arithmetic(k: ModuleType) -> Any:
    pixels = k.Input((64, 64, 3))
    return k.Model(pixels, head(k, pixels / 127.5 - 1.0 + 0.25))


def nested(k: ModuleType) -> Any:
    inner = k.Sequential(
        [k.Input((64, 64, 3)), k.layers.Conv2D(4, 3), k.layers.BatchNormalization()]
    )
    pixels, x = scaled(k)
    return k.Model(pixels, head(k, k.Model(inner.inputs, inner.outputs)(inner(x)[..., :3])))


def in_mixed_precision(k: ModuleType) -> Any:
    k.mixed_precision.set_global_policy("mixed_float16")
    try:
        pixels, x = scaled(k)
        x = head(k, x, 1, None)
        return k.Model(pixels, k.layers.Activation("sigmoid", dtype="float32")(x))
    finally:
        k.mixed_precision.set_global_policy("float32")


def transfer(
    name: str, preprocess: str | None, side: int = 96, **options: Any
) -> Callable[[ModuleType], Any]:
    """Transfer learning as the guides of Keras teach it, with made-up weights."""

    def build(k: ModuleType) -> Any:
        backbone = getattr(k.applications, name)(
            include_top=False, weights=None, input_shape=(side, side, 3), **options
        )
        pixels = k.Input((side, side, 3))
        x = k.layers.RandomFlip("horizontal")(pixels)
        if preprocess:
            x = getattr(k.applications, preprocess).preprocess_input(x)
        x = k.layers.GlobalAveragePooling2D()(backbone(x, training=False))
        x = k.layers.BatchNormalization()(x)
        y = k.layers.Dense(1, activation="sigmoid")(k.layers.Dropout(0.2)(x))
        return k.Model(pixels, y)

    return build


def spread(model: Any, photos: np.ndarray) -> None:
    """Set the last dense layer so that the answers are neither all 0 nor all 1, nor all alike."""
    k = tf_keras if isinstance(model, tf_keras.Model) else keras
    features = k.Model(model.inputs, model.layers[-2].output)
    dense = model.layers[-1]
    weights = np.random.default_rng(0).normal(size=dense.kernel.shape)
    values = np.asarray(features(photos, training=False)) @ weights
    dense.set_weights([weights / values.std(), -(values / values.std()).mean(axis=0)])


def resized(photos: np.ndarray, model: Any) -> np.ndarray:
    """Photos at a network's own size, with antialiasing."""
    _, height, width, _ = model.input_shape if hasattr(model, "input_shape") else (0, 0, 0, 0)
    size = (height or 500, width or 500)
    return np.asarray(tf.image.resize(photos.astype(np.float32), size, antialias=True))


def run_by_keras(model: Any, photos: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """p(malignant) of each photo, (n,), as the library that made the model gives it."""
    pixels = resized(photos, model) * scale
    answer = model(pixels, training=False)
    if isinstance(answer, dict):
        answer = answer.get("malignant", next(iter(answer.values())))
    if isinstance(answer, list):
        answer = answer[0]
    answer = np.asarray(answer, np.float32)
    return answer.reshape(len(photos), -1)[:, -1]


def save(model: Any, path: Path) -> Path:
    model.save(path.with_suffix(".h5"), include_optimizer=False)
    return path.with_suffix(".h5").replace(path)


def run_by_openvino(path: Path, photos: np.ndarray, output: str = "probability") -> np.ndarray:
    """p(malignant) as a converted copy gives it; conversion must find it close to Keras."""
    entry = path.with_name("entry")
    convert.write(load_network(path, output), entry)
    record = json.loads((entry / model_cache.RECORD).read_text())
    assert record["difference"] <= model_cache.MAX_DIFFERENCE[record["precision"]]
    engine = OpenVinoEngine(model_cache.Converted(entry / "model.xml", record["precision"]))
    return engine.run(photos).malignant


@BOTH
@pytest.mark.parametrize(
    "build",
    [
        sequential,
        functional,
        with_a_list_of_one_output,
        with_a_dict_of_one_output,
        with_an_output_named_malignant,
        softmax,
        softmax_in_a_list,
        softmax_layer,
        sigmoid_in_an_activation_layer,
        mean_of_two,
        without_a_last_dimension,
        with_dimensions_kept,
        of_bytes,
        of_half_floats,
        not_square,
        larger_than_photos,
        of_any_size,
        that_resizes_itself,
        normalized,
        arithmetic,
        nested,
        transfer("MobileNetV2", "mobilenet_v2", alpha=0.35),
        transfer("MobileNetV3Small", None, alpha=0.75, include_preprocessing=True),
    ],
    ids=lambda build: build.__name__,
)
def test_a_networks_answers_are_those_of_the_keras_that_saved_it(
    k: ModuleType, build: Callable[[ModuleType], Any], photos: np.ndarray, tmp_path: Path
) -> None:
    model = build(k)
    if build.__name__ == "build":
        spread(model, resized(photos, model))
    path = save(model, tmp_path / "theirs.h5")
    if "uint8" in str(model.inputs[0].dtype):
        expected = run_by_keras(model, photos)
    expected = run_by_keras(model, photos)
    assert np.ptp(expected) > 0.01
    assert run_by_openvino(path, photos) == pytest.approx(expected, abs=1e-4)
