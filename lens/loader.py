"""Load the network of a Keras ``.h5`` with the version of Keras that saved it.

``tf_keras``, the maintained Keras 2, loads files of Keras 2, because Keras 3 cannot load many of
them and loads some incorrectly.
"""

import copy
import importlib
import importlib.util
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lens import artifact, probability
from lens.architecture import (
    Config,
    UnsupportedNetwork,
    describe,
    in_float32,
    layers,
    scales_pixels,
)
from lens.artifact import InvalidModel
from lens.card import Card
from lens.images import SIZE

if TYPE_CHECKING:
    import keras

KERAS_2 = "tf_keras"

MAX_REASON_CHARACTERS = 160
"""Keras's error messages are cut to this length; some contain a whole configuration."""


def load(path: str | Path) -> tuple["keras.Model", Card]:
    """Load a model of this project and its card, to continue training.

    Returns:
        The Keras model and the card. The model's input is raw pixels 0-255 (n, 500, 500, 3). Its
        output is a dict with the probability ``malignant`` (n, 1), and optionally ``lesion``
        (n, 1), ``kind`` (n, 1) and ``heat_map`` (n, h, w, 1).

    Raises:
        InvalidModel: missing, corrupt, containing code, or not made by this project.
    """
    path = Path(path)
    card = artifact.read_card(path)
    config, version = artifact.read_architecture(path)
    if not artifact.has_card(path) or _is_keras_2(version):
        raise InvalidModel(f"{path}: expected a model made by python -m training.train")
    return _build(path, config, version), card


@dataclass(frozen=True)
class Network:
    """A loaded network as a float32 function of pixels.

    Attributes:
        model: the Keras model.
        own: whether this project made it. Such a model takes raw pixels, and all its outputs are
            used; of a third-party model, only the output for "malignant".
        size: height and width of its input in pixels.
        scale: factor to multiply pixels with.
        dtype: of its input.
        output: the meaning of its output, one of ``probability.OUTPUTS``.
    """

    model: Any
    own: bool
    size: tuple[int, int]
    scale: float
    dtype: str
    output: str

    def __call__(self, pixels: Any) -> dict[str, Any]:
        """Map pixels, float32 (n, 500, 500, 3), 0-255, to the named outputs."""
        outputs = self.raw_outputs(pixels)
        malignant = probability.of_malignant(outputs.pop("malignant"), self.output)
        return {"malignant": malignant, **outputs}

    def raw_outputs(self, pixels: Any) -> dict[str, Any]:
        """The same, but ``malignant`` without conversion: (n, 1), or (n, 2) for two classes."""
        from keras import ops

        if self.size != (SIZE, SIZE):
            pixels = ops.image.resize(pixels, self.size, antialias=True)
        if self.dtype.startswith(("int", "uint")):
            # Casting truncates; 254.9999 must become 255.
            pixels = ops.floor(pixels + 1e-3)
        returned = self.model(ops.cast(pixels * self.scale, self.dtype), training=False)
        outputs = probability.by_name(returned, self.model)
        name = "malignant" if "malignant" in outputs else next(iter(outputs))
        if len(outputs) > 1 and name != "malignant":
            raise UnsupportedNetwork(
                "expected one output, or one that is named 'malignant', got "
                + ", ".join(map(str, outputs))
            )
        malignant = probability.flattened(outputs.pop(name))
        return {"malignant": malignant, **(outputs if self.own else {})}


def load_network(path: str | Path, output: str = "probability") -> Network:
    """Load any Keras ``.h5`` for inference.

    For a third-party network (a file without a card), photos are resized to its input size, and
    scaled to 0-1 as in the paper unless it takes integers or scales them itself.

    Args:
        path: the file, with any suffix.
        output: the meaning of a third-party network's output: "probability", or "logit" if it
            does not end in a sigmoid or softmax.

    Raises:
        InvalidModel: missing, corrupt, containing code, no binary classifier of photos, or not
            giving a probability.
    """
    path = Path(path)
    card, own = artifact.read_card(path), artifact.has_card(path)
    config, version = artifact.read_architecture(path)
    config = in_float32(config)
    model = _build(path, config, version)
    try:
        size, dtype = _input(model)
        takes_integers = dtype.startswith(("int", "uint"))
        scale = 1.0 if own or takes_integers or scales_pixels(config) else 1 / 255
        network = Network(model, own, size, scale, dtype, output)
        outputs = probability.check(network.raw_outputs, output)
        if card.by_kind and "kind" not in outputs:
            raise UnsupportedNetwork(
                "its card has an operating point for each kind of photo, but its network has no "
                "output 'kind' that tells them apart"
            )
    except UnsupportedNetwork as error:
        raise InvalidModel(f"{path}: {error}") from error
    return network


def _input(model: Any) -> tuple[tuple[int, int], str]:
    """Size (height, width) and data type of the network's input, which must be one colour photo."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs or ()]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] != 3:
        raise UnsupportedNetwork(
            "expected one input, a colour photo (n, height, width, 3), got "
            + (", ".join(map(str, shapes)) or "an unknown input size")
        )
    _, height, width, _ = shapes[0]
    dtype = model.inputs[0].dtype
    return (height or SIZE, width or SIZE), getattr(dtype, "name", dtype)


def _is_keras_2(version: str) -> bool:
    return version.split(".")[0] in ("", "1", "2")


def _build(path: Path, config: Config, version: str) -> Any:
    """Build the network of ``config`` with the weights of the file."""
    # Keras is imported only when needed, because this takes two seconds and imports TensorFlow.
    if _is_keras_2(version):
        library = _keras_2(path, version)
    else:
        library = importlib.import_module("keras")
        config = _with_modules(config)
    with tempfile.TemporaryDirectory() as folder:
        # Keras recognises the format of weights by the suffix, which must be lower case.
        weights = Path(folder) / "model.h5"
        weights.symlink_to(path.absolute())
        what = "cannot be built"
        try:
            model = _from_config(library, config)
            what = "its weights do not fit its layers"
            model.load_weights(weights)
        except Exception as error:  # Keras raises exceptions of many types here.
            if layer := _broken_layer(library, config):
                what = f"the layer {describe(layer)} cannot be built"
            raise InvalidModel(f"{path}: {what}: {_reason(error)}") from error
    return model


def _from_config(library: Any, config: Config) -> Any:
    """Build a layer or a model, without weights."""
    if library.__name__ == KERAS_2:
        return library.models.model_from_json(json.dumps(config))
    # Keras modifies the configuration that it is given.
    return library.saving.deserialize_keras_object(copy.deepcopy(config))


def _keras_2(path: Path, version: str) -> Any:
    saved = f"Keras {version}" if version else "an early Keras"
    if importlib.util.find_spec(KERAS_2) is None:
        raise InvalidModel(
            f"{path}: was saved by {saved}, and the package tf_keras, which reads it, is not "
            "installed; install it (pip install tf_keras)"
        )
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InvalidModel(
            f"{path}: was saved by {saved}, which computes with TensorFlow; set "
            "KERAS_BACKEND=tensorflow"
        )
    return importlib.import_module(KERAS_2)


def _with_modules(config: Config) -> Config:
    """Add the module of each layer and operation, as in the .keras format.

    An ``.h5`` of Keras 3 has only class names. With these, Keras mistakes the operation Add
    (``x + 1``) for the layer of that name, and does not find most other operations.
    """
    settings = config.get("config")
    if not isinstance(settings, dict) or "module" in config:
        return config
    inner = settings.get("layers")
    if isinstance(inner, list):
        settings = {**settings, "layers": [_with_modules(layer) for layer in inner]}
    module = _module(config["class_name"], settings)
    return {**config, "config": settings, "module": module, "registered_name": None}


def _module(class_name: str, settings: Config) -> str:
    if "layers" in settings:
        return "keras" if class_name == "Sequential" else "keras.src.models.functional"
    layers = importlib.import_module("keras.layers")
    # Layers have both settings. One operation has a dtype, Cast; no layer has that name.
    if not hasattr(layers, class_name) or not {"dtype", "trainable"} & settings.keys():
        for name in ("numpy", "nn", "math", "image", "core"):
            if hasattr(importlib.import_module(f"keras.src.ops.{name}"), class_name):
                return f"keras.src.ops.{name}"
    return "keras.layers"


def _broken_layer(library: Any, config: Config) -> Config | None:
    """The first layer that cannot be built alone; None if all can."""
    for layer in layers(config):
        try:
            built = _from_config(library, layer)
        except Exception:
            return layer
        if isinstance(built, str):  # Keras 2 returns a string for an unknown class.
            return layer
    return None


def _reason(error: Exception) -> str:
    """Keras's error message on one line, without the configuration that it may contain."""
    text = " ".join(str(error).split()).rpartition("Exception encountered: ")[2]
    text = re.split(r" ?[\w ]*config=| Please ensure| Full object| See https", text)[0]
    if len(text) > MAX_REASON_CHARACTERS:
        text = text[: MAX_REASON_CHARACTERS - 1] + "…"
    return text or repr(type(error))
