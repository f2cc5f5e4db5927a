"""The model file: a Keras ``.h5`` with its card in an HDF5 attribute. Only this file knows HDF5.

A model takes raw pixels 0-255 of shape (n, 500, 500, 3) and returns a dict of named outputs, of
which ``malignant`` (n, 1), a probability, is always there. TensorFlow is imported by ``load`` and
``save`` alone, so that a server which runs a converted model never pays for it.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from lens.card import Card, from_json, to_json
from lens.images import SIZE

if TYPE_CHECKING:
    import keras

_CARD_ATTRIBUTE = "molelens_card"

# Layers that hold code of their own; loading one runs what the file's author wrote.
_CODE_LAYERS = ("Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer")


# Where a file may ask Keras to find its classes; Keras says "builtins" of its own functions.
_OWN_MODULES = ("keras", "builtins")


class InvalidModel(Exception):
    """A model file that cannot be served; ``str(error)`` says why and what to do, in one line."""


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_card(path: str | Path) -> Card:
    """Read a model file's card without loading Keras.

    Returns:
        The card; for a file without one, a card named after the file, threshold 0.5, uncalibrated.

    Raises:
        InvalidModel: the file is missing, is not a Keras ``.h5``, or its card is damaged.
    """
    path = Path(path)
    with _open(path) as file:
        text = file.attrs.get(_CARD_ATTRIBUTE)
    if text is None:
        return Card(name=path.stem)
    try:
        return from_json(text)
    except ValueError as error:
        raise InvalidModel(
            f"{path}: the card inside cannot be used: {error}; make the file again with "
            "python -m training.train"
        ) from error


def write_card(path: str | Path, card: Card) -> None:
    """Replace the card in a model file; the weights stay as they are. The change is atomic."""
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".h5")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as copy:
            copy.write(path.read_bytes())
        with h5py.File(temporary, "r+") as file:
            file.attrs[_CARD_ATTRIBUTE] = to_json(card)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save(model: "keras.Model", path: str | Path, card: Card) -> None:
    """Write a model and its card as one ``.h5``; an older file stays whole until the end."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.h5")
    try:
        model.save(temporary, include_optimizer=False)
        with h5py.File(temporary, "r+") as file:
            file.attrs[_CARD_ATTRIBUTE] = to_json(card)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: str | Path) -> tuple["keras.Model", Card]:
    """Load a model for inference, with its card.

    A foreign file (no card) is adapted: resized to its own input size, scaled to 0-1 as the paper
    does unless it scales by itself, and its output named ``malignant``.

    Returns:
        The Keras model, raw pixels 0-255 (n, 500, 500, 3) to a dict with ``malignant`` (n, 1), a
        probability, and perhaps ``lesion`` (n, 1), ``kind`` (n, 1) and ``heat_map`` (n, h, w, 1);
        and the card.

    Raises:
        InvalidModel: missing, corrupt, not a binary classifier of images, or carrying code.
    """
    path = Path(path)
    card = read_card(path)
    _refuse_code(path)
    # Keras takes two seconds to import and brings TensorFlow; only the loader pays for it.
    import keras

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises anything at all on a file it does not understand.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InvalidModel(f"{path}: Keras cannot load it: {reason}") from error
    # A Sequential, as the paper's, has no ``output`` until it is called; it has one output anyway.
    named = not isinstance(model, keras.Sequential) and isinstance(model.output, dict)
    if named and "malignant" in model.output:
        if card.by_kind and "kind" not in model.output:
            raise InvalidModel(
                f"{path}: its card has an operating point for each kind of photo, but its network "
                "has no output 'kind' that tells them apart"
            )
        return model, card
    return _adapt(model, path), card


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise InvalidModel(
            f"{path}: no such file; expected a Keras .h5 model (make one with "
            "python -m training.train, or set MOLELENS_MODEL)"
        )
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InvalidModel(
            f"{path}: not an HDF5 file, or a damaged one; expected a Keras .h5 model"
        ) from error
    if "model_config" not in file.attrs:
        file.close()
        raise InvalidModel(
            f"{path}: holds no network, perhaps weights alone; save the whole model as .h5"
        )
    return file


def _refuse_code(path: Path) -> None:
    """CVE-2025-9905: older Keras ran a Lambda in an ``.h5`` whatever ``safe_mode`` said."""
    with _open(path) as file:
        text = file.attrs["model_config"]
    config = json.loads(text)
    if found := sorted(_named(config, "class_name").intersection(_CODE_LAYERS)):
        raise InvalidModel(f"{path}: refused, it carries code of its own ({', '.join(found)})")
    modules = _named(config, "module")
    if found := sorted(m for m in modules if m.split(".")[0] not in _OWN_MODULES):
        raise InvalidModel(f"{path}: refused, it asks for code outside Keras ({', '.join(found)})")


def _named(config: Any, key: str) -> set[str]:
    """Every text that stands under ``key``, however deep."""
    if isinstance(config, dict):
        own = {config[key]} if isinstance(config.get(key), str) else set()
        return own.union(*(_named(value, key) for value in config.values()))
    if isinstance(config, list):
        return set().union(*(_named(value, key) for value in config))
    return set()


def _adapt(model: "keras.Model", path: Path) -> "keras.Model":
    import keras

    inputs, outputs = ([tuple(t.shape) for t in ts] for ts in (model.inputs, model.outputs))
    if [(len(shape), shape[-1]) for shape in inputs] != [(4, 3)] or outputs not in (
        [(None, 1)],
        [(None, 2)],
    ):
        raise InvalidModel(
            f"{path}: expected one image input (n, height, width, 3) and one output (n, 1) or "
            f"(n, 2), got input {inputs} and output {outputs}"
        )
    pixels = x = keras.Input((SIZE, SIZE, 3), name="pixels")
    height, width = inputs[0][1] or SIZE, inputs[0][2] or SIZE
    if (height, width) != (SIZE, SIZE):
        x = keras.layers.Resizing(height, width, antialias=True)(x)
    # A backbone that scales for itself may be a model within the model.
    if not any(isinstance(one, keras.layers.Rescaling) for one in model._flatten_layers()):
        x = keras.layers.Rescaling(1 / 255)(x)
    malignant = model(x)
    if outputs == [(None, 2)]:
        malignant = malignant[:, 1:]
    return keras.Model(pixels, {"malignant": malignant}, name=model.name)
