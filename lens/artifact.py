"""The model file: a Keras ``.h5`` with its card in an HDF5 attribute. Only this file knows HDF5.

Nothing here imports Keras or TensorFlow, so that a server which runs a converted model never pays
for them; ``lens.loader`` does.
"""

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from lens.architecture import Config, UnfitNetwork, refuse_code
from lens.card import Card, from_json, to_json
from lens.files import replacing

if TYPE_CHECKING:
    import keras

_CARD_ATTRIBUTE = "molelens_card"


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
    with replacing(path) as copy:
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            file.attrs[_CARD_ATTRIBUTE] = to_json(card)


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


def has_card(path: str | Path) -> bool:
    """Whether a model file is one of ours; others hold no card."""
    with _open(Path(path)) as file:
        return _CARD_ATTRIBUTE in file.attrs


def read_architecture(path: str | Path) -> tuple[Config, str]:
    """What the file asks Keras to build, and the version of Keras that saved it ("" if not told).

    Raises:
        InvalidModel: it is damaged, or asks for code that is not Keras's own.
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
    except UnfitNetwork as error:
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
