"""Third-party networks give the same outputs as where they were made, or are refused in a line."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from lens import convert, loader, model_cache, openvino_runtime
from lens.artifact import InvalidModel
from lens.engine import KerasEngine, OpenVinoEngine
from lens.loader import load_network

pytestmark = pytest.mark.filterwarnings("ignore:You are saving")

WITH_BOTH_VERSIONS = pytest.mark.parametrize("k", [tf_keras, keras], ids=["Keras 2", "Keras 3"])
WEIGHT_STDDEV = 4.0
"""Large enough for networks with random weights to give different outputs for different photos."""


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """Spots on skin, and noise, uint8 (6, 500, 500, 3)."""
    return convert.parity_images()[:6]


@pytest.fixture(autouse=True)
def same_weights_each_time() -> None:
    keras.utils.set_random_seed(4)
    tf_keras.utils.set_random_seed(4)


def head(k: ModuleType, x: Any, units: int = 1, activation: str | None = "sigmoid") -> Any:
    """Convolution, pooling and a dense layer on pixels."""
    x = k.layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = k.layers.GlobalAveragePooling2D()(x)
    weights = k.initializers.RandomNormal(stddev=WEIGHT_STDDEV)
    return k.layers.Dense(units, activation=activation, kernel_initializer=weights)(x)


def scaled(k: ModuleType, shape: tuple = (64, 64, 3), dtype: str | None = None) -> tuple[Any, Any]:
    """An input, and its pixels scaled to 0-1."""
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


def with_its_output_in_a_list(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, [head(k, x)])


def with_its_output_in_a_dict(k: ModuleType) -> Any:
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
    x = k.layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = k.initializers.RandomNormal(stddev=WEIGHT_STDDEV, seed=1)
    y = k.layers.Conv2D(1, 1, activation="sigmoid", kernel_initializer=weights)(x)
    return k.Model(pixels, y)


def with_uint8_input(k: ModuleType) -> Any:
    pixels, x = scaled(k, dtype="uint8")
    return k.Model(pixels, head(k, x))


def with_float16_input(k: ModuleType) -> Any:
    pixels, x = scaled(k, dtype="float16")
    return k.Model(pixels, head(k, x))


def not_square(k: ModuleType) -> Any:
    pixels, x = scaled(k, (90, 120, 3))
    return k.Model(pixels, head(k, x))


def larger_than_500_pixels(k: ModuleType) -> Any:
    pixels, x = scaled(k, (520, 600, 3))
    return k.Model(pixels, head(k, x))


def without_a_fixed_size(k: ModuleType) -> Any:
    pixels, x = scaled(k, (None, None, 3))
    return k.Model(pixels, head(k, x))


def that_resizes(k: ModuleType) -> Any:
    pixels, x = scaled(k, (500, 500, 3))
    return k.Model(pixels, head(k, k.layers.Resizing(60, 70)(x)))


def normalized(k: ModuleType) -> Any:
    pixels = k.Input((64, 64, 3))
    x = k.layers.Normalization(mean=[120.0, 110.0, 100.0], variance=[900.0, 800.0, 700.0])(pixels)
    return k.Model(pixels, head(k, x))


def arithmetic(k: ModuleType) -> Any:
    pixels = k.Input((64, 64, 3))
    return k.Model(pixels, head(k, pixels / 127.5 - 1.0 + 0.25))


def with_a_cast(k: ModuleType) -> Any:
    pixels = k.Input((64, 64, 3))
    cast = k.ops.cast if hasattr(k, "ops") else k.backend.cast
    return k.Model(pixels, head(k, cast(pixels, "float32") / 255))


def with_resnet_preprocessing(k: ModuleType) -> Any:
    pixels = k.Input((64, 64, 3))
    return k.Model(pixels, head(k, k.applications.resnet50.preprocess_input(pixels)))


def nested(k: ModuleType) -> Any:
    inner = k.Sequential(
        [k.Input((64, 64, 3)), k.layers.Conv2D(4, 3), k.layers.BatchNormalization()]
    )
    middle_pixels = k.Input((64, 64, 3))
    middle = k.Model(middle_pixels, k.layers.ReLU()(inner(middle_pixels)))
    pixels, x = scaled(k)
    return k.Model(pixels, head(k, middle(x)))


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
    """Transfer learning as in the guides of Keras, with random weights."""

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

    build.__name__ = name
    return build


def set_diverse_outputs(model: Any, photos: np.ndarray) -> None:
    """Set the last dense layer so that the outputs differ and are not all close to 0 or 1."""
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
    """p(malignant) of each photo, (n,), from the library that made the model."""
    pixels = resized(photos, model) * scale
    if "int" in str(model.inputs[0].dtype):
        pixels = np.floor(pixels + 1e-3)  # As Keras casts them, except for 254.9999.
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
    """p(malignant) from a converted model, which the conversion must find close to Keras."""
    entry = path.with_name("entry")
    convert.write(load_network(path, output), entry, openvino_runtime.precisions())
    record = json.loads((entry / model_cache.RECORD).read_text())
    assert record["difference"] <= model_cache.MAX_DIFFERENCE
    engine = OpenVinoEngine(model_cache.Converted(entry / "model.xml", record["precision"]))
    return engine.run(photos).malignant


def assert_same_outputs(model: Any, photos: np.ndarray, path: Path, scale: float = 1.0) -> None:
    """OpenVINO and the library that made ``model`` give the same outputs, within 1e-4."""
    expected = run_by_keras(model, photos, scale)
    assert np.ptp(expected) > 0.01
    assert run_by_openvino(save(model, path), photos) == pytest.approx(expected, abs=1e-4)


@WITH_BOTH_VERSIONS
@pytest.mark.parametrize(
    "build",
    [
        sequential,
        functional,
        with_its_output_in_a_list,
        with_its_output_in_a_dict,
        with_an_output_named_malignant,
        softmax,
        softmax_in_a_list,
        softmax_layer,
        sigmoid_in_an_activation_layer,
        mean_of_two,
        without_a_last_dimension,
        with_dimensions_kept,
        with_uint8_input,
        with_float16_input,
        not_square,
        larger_than_500_pixels,
        without_a_fixed_size,
        that_resizes,
        normalized,
        arithmetic,
        with_a_cast,
        nested,
        with_resnet_preprocessing,
        transfer("MobileNetV2", "mobilenet_v2", side=64, alpha=0.35),
    ],
    ids=lambda build: build.__name__,
)
def test_a_network_gives_the_same_outputs_as_in_the_keras_that_saved_it(
    k: ModuleType, build: Callable[[ModuleType], Any], photos: np.ndarray, tmp_path: Path
) -> None:
    model = build(k)
    if build.__name__ == "MobileNetV2":
        set_diverse_outputs(model, resized(photos, model))
    assert_same_outputs(model, photos, tmp_path / "theirs.h5")


@pytest.mark.parametrize(
    ("name", "preprocess", "side"),
    [
        ("EfficientNetB0", None, 64),
        ("ResNet50", "resnet50", 64),
        ("DenseNet121", "densenet", 64),
        ("Xception", "xception", 96),
        ("InceptionV3", "inception_v3", 96),
        ("MobileNetV3Small", None, 64),
    ],
)
def test_transfer_learning_saved_by_keras_2_gives_the_same_outputs(
    name: str, preprocess: str | None, side: int, photos: np.ndarray, tmp_path: Path
) -> None:
    model = transfer(name, preprocess, side)(tf_keras)
    set_diverse_outputs(model, resized(photos, model))
    assert_same_outputs(model, photos, tmp_path / "theirs.h5")


@WITH_BOTH_VERSIONS
def test_a_network_that_does_not_scale_pixels_gets_values_from_0_to_1(
    k: ModuleType, photos: np.ndarray, tmp_path: Path
) -> None:
    pixels = k.Input((64, 64, 3))
    model = k.Model(
        pixels, k.layers.Rescaling(0.5, 0.1)(head(k, pixels))
    )  # This is not the scaling of pixels.
    assert_same_outputs(model, photos, tmp_path / "theirs.h5", scale=1 / 255)


@WITH_BOTH_VERSIONS
def test_a_network_with_integer_input_gets_values_from_0_to_255(
    k: ModuleType, photos: np.ndarray, tmp_path: Path
) -> None:
    pixels = k.Input((64, 64, 3), dtype="uint8")
    normalization = k.layers.BatchNormalization()
    x = normalization(k.layers.Activation("linear", dtype="float32")(pixels))
    normalization.set_weights([np.full(3, value) for value in (1, 0, 128, 64**2)])
    assert_same_outputs(k.Model(pixels, head(k, x)), photos, tmp_path / "theirs.h5")


@WITH_BOTH_VERSIONS
def test_a_network_trained_in_mixed_precision_computes_in_float32(
    k: ModuleType, photos: np.ndarray, tmp_path: Path
) -> None:
    mixed = in_mixed_precision(k)
    model = functional(k)
    model.set_weights(mixed.get_weights())
    expected = run_by_keras(model, photos)
    actual = run_by_openvino(save(mixed, tmp_path / "theirs.h5"), photos)
    assert actual == pytest.approx(expected, abs=1e-4)
    assert run_by_keras(mixed, photos) == pytest.approx(actual, abs=0.03)


@WITH_BOTH_VERSIONS
@pytest.mark.parametrize("units", [1, 2])
def test_logits_become_probabilities_if_the_setting_says_so(
    k: ModuleType, units: int, photos: np.ndarray, tmp_path: Path
) -> None:
    pixels, x = scaled(k)
    logits = head(k, x, units, None)
    path = save(k.Model(pixels, logits), tmp_path / "theirs.h5")
    final = k.layers.Activation("sigmoid") if units == 1 else k.layers.Softmax()
    expected = run_by_keras(k.Model(pixels, final(logits)), photos)
    with pytest.raises(InvalidModel, match="MOLELENS_OUTPUT=logit"):
        load_network(path)
    assert run_by_openvino(path, photos, "logit") == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["Model.H5", "Model.HDF5", "model.hdf5", "model"])
def test_a_file_may_have_any_name(photos: np.ndarray, tmp_path: Path, name: str) -> None:
    model = functional(tf_keras)
    path = save(model, tmp_path / name)
    assert KerasEngine(path).run(photos).malignant == pytest.approx(
        run_by_keras(model, photos), abs=1e-4
    )


def test_a_link_to_a_file_is_followed(photos: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    save(functional(tf_keras), tmp_path / "models" / "one.h5")
    (tmp_path / "current.h5").symlink_to("models/one.h5")
    assert load_network(tmp_path / "current.h5").size == (64, 64)


def test_without_tf_keras_the_refusal_of_a_keras_2_file_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(functional(tf_keras), tmp_path / "theirs.h5")
    monkeypatch.setattr(loader, "KERAS_2", "no_such_package")
    with pytest.raises(InvalidModel, match=r"saved by Keras 2\.21\.0.*pip install tf_keras"):
        load_network(path)


def ending(units: int, activation: str | None) -> Callable[[ModuleType], Any]:
    def build(k: ModuleType) -> Any:
        pixels, x = scaled(k)
        return k.Model(pixels, head(k, x, units, activation))

    return build


def with_input(*shape: int | None) -> Callable[[ModuleType], Any]:
    def build(k: ModuleType) -> Any:
        pixels = k.Input(shape)
        x = k.layers.Dense(1, activation="sigmoid")(k.layers.Flatten()(pixels))
        return k.Model(pixels, x)

    return build


def with_two_inputs(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    age = k.Input((1,))
    return k.Model([pixels, age], k.layers.Average()([head(k, x), age]))


def with_two_outputs(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, {"left": head(k, x), "right": head(k, x)})


def with_an_output_for_each_pixel(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, k.layers.Conv2D(1, 1, activation="sigmoid")(x))


def sum_of_two(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, k.layers.Add()([head(k, x), head(k, x)]))


def stretched(k: ModuleType) -> Any:
    """Outside 0 to 1 only if the sigmoid is nearly 0 or 1, which may be so for no photo."""
    pixels, x = scaled(k)
    return k.Model(pixels, k.layers.Rescaling(1.2, offset=-0.1)(head(k, x)))


def with_a_custom_layer(k: ModuleType) -> Any:
    class LookHere(k.layers.Layer):
        def call(self, inputs: object) -> object:
            return inputs

    pixels, x = scaled(k)
    return k.Model(pixels, head(k, LookHere(name="look_here")(x)))


def with_a_custom_activation(k: ModuleType) -> Any:
    def wave(x: Any) -> Any:
        return x

    pixels, x = scaled(k)
    return k.Model(pixels, head(k, k.layers.Conv2D(2, 1, activation=wave, name="waved")(x)))


def with_a_lambda_layer(k: ModuleType) -> Any:
    pixels, x = scaled(k)
    return k.Model(pixels, head(k, k.layers.Lambda(lambda x: x, name="crafty")(x)))


@WITH_BOTH_VERSIONS
@pytest.mark.parametrize(
    ("build", "words"),
    [
        (ending(1, None), r"its output is no probability: it comes from \S*dense"),
        (ending(2, None), "its output is no probability"),
        (ending(1, "relu"), "its output is no probability"),
        (ending(1, "tanh"), "its output is no probability"),
        (ending(1, "softmax"), "a softmax of one value"),
        (ending(2, "sigmoid"), "is two sigmoids"),
        (ending(3, "softmax"), r"softmax of two classes, .* got \(n, 3\)"),
        (sum_of_two, "what follows its sigmoid scales it to between 0 and 2"),
        (stretched, "what follows its sigmoid scales it to between -0.1 and 1.1"),
        (with_an_output_for_each_pixel, r"expected as output .* got \(n, 64, 64, 1\)"),
        (
            with_two_outputs,
            "expected one output, or one that is named 'malignant', got left, right",
        ),
        (with_two_inputs, "expected one input, a colour photo"),
        (with_input(64, 64, 1), "expected one input, a colour photo"),
        (with_input(3, 64, 64), "expected one input, a colour photo"),
        (with_input(12288), "expected one input, a colour photo"),
        (with_a_custom_layer, r"the layer look_here \(LookHere\) cannot be built"),
        (with_a_custom_activation, r"the layer waved \(Conv2D\) cannot be built"),
        (with_a_lambda_layer, r"its layer crafty \(Lambda\) contains custom code"),
    ],
)
def test_an_unusable_network_is_refused_in_one_short_line(
    k: ModuleType, build: Callable[[ModuleType], Any], words: str, tmp_path: Path
) -> None:
    path = save(build(k), tmp_path / "theirs.h5")
    with pytest.raises(InvalidModel, match=words) as error:
        load_network(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) - len(str(path)) < 300


@WITH_BOTH_VERSIONS
def test_a_file_without_the_weights_of_a_layer_is_refused(k: ModuleType, tmp_path: Path) -> None:
    path = save(sequential(k), tmp_path / "theirs.h5")
    with h5py.File(path, "r+") as file:
        name = next(name for name, group in file["model_weights"].items() if len(group))
        del file["model_weights"][name]
    with pytest.raises(InvalidModel, match="its weights do not fit its layers"):
        load_network(path)


def test_a_network_that_ends_in_a_sigmoid_is_refused_as_logits(tmp_path: Path) -> None:
    path = save(functional(keras), tmp_path / "theirs.h5")
    with pytest.raises(InvalidModel, match=r"ends in a sigmoid.*unset MOLELENS_OUTPUT"):
        load_network(path, "logit")


def test_a_tensorflow_function_that_could_access_files_is_refused(tmp_path: Path) -> None:
    path = save(arithmetic(tf_keras), tmp_path / "theirs.h5")
    with h5py.File(path, "r+") as file:
        config = file.attrs["model_config"].replace("math.truediv", "io.read_file")
        file.attrs["model_config"] = config
    with pytest.raises(InvalidModel, match=r"calls the TensorFlow function io\.read_file"):
        load_network(path)
