"""Load the network of a Keras ``.h5``, with the Keras that saved it, as a function of pixels.

Keras 3 builds what Keras 3 saved, and ``tf_keras``, which is Keras 2 kept alive, the rest: Keras 3
reads many files of Keras 2 not at all, and some wrongly.
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
from lens.architecture import Config, UnfitNetwork, in_float32, layers, name_of, scales_pixels
from lens.artifact import InvalidModel
from lens.card import Card
from lens.images import SIZE

if TYPE_CHECKING:
    import keras

KERAS_2 = "tf_keras"

MAX_REASON = 160
"""Characters of an error of Keras that are repeated; it may hold a whole configuration."""


def load(path: str | Path) -> tuple["keras.Model", Card]:
    """Load a model that this project made, to go on with its training, and its card.

    Returns:
        The Keras model, raw pixels 0-255 (n, 500, 500, 3) to a dict with ``malignant`` (n, 1), a
        probability, and perhaps ``lesion`` (n, 1), ``kind`` (n, 1) and ``heat_map`` (n, h, w, 1);
        and the card.

    Raises:
        InvalidModel: missing, corrupt, made by somebody else, or carrying code.
    """
    path = Path(path)
    card = artifact.read_card(path)
    config, version = artifact.read_architecture(path)
    if not artifact.has_card(path) or _is_keras_2(version):
        raise InvalidModel(f"{path}: expected a model made by python -m training.train")
    return _build(path, config, version), card


@dataclass(frozen=True)
class Network:
    """A loaded network as a function of pixels, computing in float32.

    Attributes:
        model: the Keras model.
        own: whether this project made it: it takes raw pixels, and all its outputs are used.
        size: height and width of its input in pixels.
        scale: factor of the pixels before they go in.
        dtype: of its input.
        output: what its output is, one of ``probability.OUTPUTS``.
    """

    model: Any
    own: bool
    size: tuple[int, int]
    scale: float
    dtype: str
    output: str

    def __call__(self, pixels: Any) -> dict[str, Any]:
        """Float32 (n, 500, 500, 3), 0-255, to ``malignant`` (n, 1) and further named outputs."""
        answers = self.answers(pixels)
        malignant = probability.of_malignant(answers.pop("malignant"), self.output)
        return {"malignant": malignant, **answers}

    def answers(self, pixels: Any) -> dict[str, Any]:
        """The same, with ``malignant`` as the network gives it: (n, 1), or two classes (n, 2)."""
        from keras import ops

        if self.size != (SIZE, SIZE):
            pixels = ops.image.resize(pixels, self.size, antialias=True)
        if self.dtype.startswith(("int", "uint")):
            # Keras cuts fractions off; a thousandth more keeps 254.9999 white.
            pixels = ops.floor(pixels + 1e-3)
        answer = self.model(ops.cast(pixels * self.scale, self.dtype), training=False)
        answers = probability.by_name(answer, self.model)
        name = "malignant" if "malignant" in answers else next(iter(answers))
        if len(answers) > 1 and name != "malignant":
            raise UnfitNetwork(
                "expected one output, or one that is named 'malignant', got "
                + ", ".join(map(str, answers))
            )
        malignant = probability.flattened(answers.pop(name))
        return {"malignant": malignant, **(answers if self.own else {})}


def load_network(path: str | Path, output: str = "probability") -> Network:
    """Load any Keras ``.h5`` for inference.

    A file that holds no card is adapted: photos are resized to its own input size, scaled to 0-1
    as the paper does unless it scales by itself, and its output is read as p(malignant).

    Args:
        path: the file, whatever its suffix.
        output: what its output is: "probability", or "logit" for a network without a sigmoid or
            softmax at its end.

    Raises:
        InvalidModel: missing, corrupt, no classifier of photos into benign and malignant, carrying
            code, or giving no probability.
    """
    path = Path(path)
    card, own = artifact.read_card(path), artifact.has_card(path)
    config, version = artifact.read_architecture(path)
    config = in_float32(config)
    model = _build(path, config, version)
    try:
        size, dtype = _input(model)
        scale = 1.0 if own or scales_pixels(config) else 1 / 255
        network = Network(model, own, size, scale, dtype, output)
        answers = probability.check(network.answers, output)
        if card.by_kind and "kind" not in answers:
            raise UnfitNetwork(
                "its card has an operating point for each kind of photo, but its network has no "
                "output 'kind' that tells them apart"
            )
    except UnfitNetwork as error:
        raise InvalidModel(f"{path}: {error}") from error
    return network


def _input(model: Any) -> tuple[tuple[int, int], str]:
    """Height and width, and the data type, of a network's only input, a colour photo."""
    shapes = [tuple(tensor.shape) for tensor in model.inputs or ()]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] != 3:
        raise UnfitNetwork(
            "expected one input, a colour photo (n, height, width, 3), got "
            + (", ".join(map(str, shapes)) or "an unknown input size")
        )
    _, height, width, _ = shapes[0]
    dtype = model.inputs[0].dtype
    return (height or SIZE, width or SIZE), getattr(dtype, "name", dtype)


def _is_keras_2(version: str) -> bool:
    return version.split(".")[0] in ("", "1", "2")


def _build(path: Path, config: Config, version: str) -> Any:
    """The Keras model of a file, with ``config`` in place of the file's own."""
    # Keras takes two seconds to import and brings TensorFlow; only the loader pays for it.
    if _is_keras_2(version):
        library = _keras_2(path, version)
    else:
        library = importlib.import_module("keras")
        config = _with_modules(config)
    with tempfile.TemporaryDirectory() as folder:
        # Keras knows the format of weights by the suffix, in small letters.
        weights = Path(folder) / "model.h5"
        weights.symlink_to(path.absolute())
        what = "cannot be built"
        try:
            model = _from_config(library, config)
            what = "its weights do not fit its layers"
            model.load_weights(weights)
        except Exception as error:  # Keras raises anything at all on a file it does not understand.
            if culprit := _culprit(library, config):
                what = f"the layer {name_of(culprit)} cannot be built"
            raise InvalidModel(f"{path}: {what}: {_reason(error)}") from error
    return model


def _from_config(library: Any, config: Config) -> Any:
    """A layer or a model, without its weights."""
    if library.__name__ == KERAS_2:
        return library.models.model_from_json(json.dumps(config))
    # Keras takes the list of layers out of the configuration that it is given.
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
    """Name the module of each layer and operation, as Keras's newer format does.

    An ``.h5`` of Keras 3 has class names alone, by which Keras takes the operation Add (``x + 1``)
    for the layer of this name, and finds most others not at all.
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
    # Every layer has these settings; the one operation that has a dtype, Cast, is no layer's name.
    if not hasattr(layers, class_name) or not {"dtype", "trainable"} & settings.keys():
        for room in ("numpy", "nn", "math", "image", "core"):
            if hasattr(importlib.import_module(f"keras.src.ops.{room}"), class_name):
                return f"keras.src.ops.{room}"
    return "keras.layers"


def _culprit(library: Any, config: Config) -> Config | None:
    """The first layer that cannot be built by itself, or None if each can."""
    for layer in layers(config):
        try:
            built = _from_config(library, layer)
        except Exception:
            return layer
        if isinstance(built, str):  # What Keras 2 gives for a class that it does not know.
            return layer
    return None


def _reason(error: Exception) -> str:
    """What Keras says, on one line, without the configuration that it may repeat."""
    text = " ".join(str(error).split()).rpartition("Exception encountered: ")[2]
    text = re.split(r" ?[\w ]*config=| Please ensure| Full object| See https", text)[0]
    return (text[: MAX_REASON - 1] + "…" if len(text) > MAX_REASON else text) or repr(type(error))
