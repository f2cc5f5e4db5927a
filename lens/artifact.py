"""Read and write the model file: a Keras ``.h5`` with its card in an HDF5 attribute.

This is the only module that uses HDF5. Unlike ``lens.loader``, it imports neither Keras nor
TensorFlow, which a server that runs a converted model does not need.
"""

import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from lens.architecture import Config, UnsupportedNetwork, refuse_code
from lens.card import Card, from_json, to_json
from lens.files import replacing

if TYPE_CHECKING:
    import keras

_CARD_ATTRIBUTE = "molelens_card"


class InvalidModel(Exception):
    """A model file cannot be served; ``str(error)`` says why and what to do, in one line."""


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_card(path: str | Path) -> Card:
    """Read a model file's card without loading Keras.

    Returns:
        The card. A file without one gets a default card: named after the file, uncalibrated,
        threshold 0.5.

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
    """Replace the card in a model file atomically. The weights do not change."""
    path = Path(path)
    with replacing(path) as copy:
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            file.attrs[_CARD_ATTRIBUTE] = to_json(card)


def save(model: "keras.Model", path: str | Path, card: Card) -> None:
    """Write a model and its card to one ``.h5``, which replaces an older file atomically."""
    # Keras chooses the format according to the suffix.
    with replacing(Path(path), suffix=".h5") as partial:
        model.save(partial, include_optimizer=False)
        with h5py.File(partial, "r+") as file:
            file.attrs[_CARD_ATTRIBUTE] = to_json(card)


def has_card(path: str | Path) -> bool:
    """Whether this project made the model file; other files have no card."""
    with _open(Path(path)) as file:
        return _CARD_ATTRIBUTE in file.attrs


def read_architecture(path: str | Path) -> tuple[Config, str]:
    """The network's configuration, and the version of Keras that saved it ("" if unknown).

    Raises:
        InvalidModel: the configuration is damaged, or asks for code outside Keras.
    """
    path = Path(path)
    with _open(path) as file:
        text, version = file.attrs["model_config"], file.attrs.get("keras_version", "")
    try:
        config = json.loads(text)
        if not isinstance(config, dict):
            raise ValueError(f"expected an object, got {type(config).__name__}")
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidModel(
            f"{path}: its description of the network is damaged ({error})"
        ) from error
    try:
        refuse_code(config)
    except UnsupportedNetwork as error:
        raise InvalidModel(f"{path}: {error}") from error
    return config, version.decode() if isinstance(version, bytes) else str(version)


def _open(path: Path) -> h5py.File:
    if path.is_dir():
        raise InvalidModel(
            f"{path}: a folder, perhaps a TensorFlow SavedModel; expected a Keras .h5 model: load "
            "it where it was made and write it with model.save('model.h5')"
        )
    if not path.is_file():
        raise InvalidModel(
            f"{path}: no such file; expected a Keras .h5 model (make one with "
            "python -m training.train, or set MOLELENS_MODEL)"
        )
    if zipfile.is_zipfile(path):
        raise InvalidModel(
            f"{path}: a zip file, perhaps Keras's .keras format; expected a Keras .h5 model: load "
            "it where it was made and write it with model.save('model.h5')"
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
