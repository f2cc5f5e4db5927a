"""Export the PyTorch networks' weights to the Keras networks that are served."""

import re

import keras
import numpy as np
import torch
from keras import layers

from training import networks
from training.gpu.networks import EPSILON, Cnn7, EfficientNetLite
from training.networks.efficientnet import set_feature_weights

Weights = dict[str, np.ndarray]
"""The weights of a PyTorch network by name."""

_BATCH = 32


def export_cnn7(network: Cnn7, photos: np.ndarray) -> keras.Model:
    """Build ``training.networks.cnn7`` with the weights of a PyTorch network.

    Each batch normalisation is folded into its convolution. The Keras network has some batch
    normalisations of its own. They get the statistics of some photos, and a scale and an offset
    that undo the normalisation. So they have no effect in serving, and do not disturb a training
    that continues from the file (``--start``).

    Args:
        network: the trained network.
        photos: some training photos, uint8 (n, 500, 500, 3).

    Returns:
        The Keras network.
    """
    weights = _arrays(network)
    model = networks.cnn7()
    for index, convolution in enumerate(_of_type(model, layers.Conv2D)):
        convolution.set_weights(_folded(weights, f"convolutions.{index}"))
    dense = [one for one in _of_type(model, layers.Dense) if one.name not in _HEADS]
    names = [f"excitations.{n}.{part}" for n in range(2) for part in ("narrow", "wide")]
    for layer, name in zip(dense, names, strict=True):
        layer.set_weights(_linear(weights, name))
    _set_heads(model, weights)
    _neutralise(model, photos)
    return model


def export_efficientnet(network: EfficientNetLite) -> keras.Model:
    """Build ``training.networks.efficientnet_lite0`` with the weights of a trained Lite0.

    Raises:
        MissingWeights: the package with the ImageNet weights is not installed, or damaged.
    """
    weights = _arrays(network)
    model = networks.efficientnet_lite0()
    renamed = {re.sub(r"^blocks\.(\d+)\.", r"blocks_\1_", name): w for name, w in weights.items()}
    set_feature_weights(model, renamed)
    _set_heads(model, weights)
    return model


_HEADS = ("lesion", "kind", "clinical_map", "dermoscopic_map")


def _set_heads(model: keras.Model, weights: Weights) -> None:
    for name in _HEADS:
        model.get_layer(name).set_weights(_linear(weights, f"heads.{name}"))


def _folded(weights: Weights, name: str) -> list[np.ndarray]:
    """Kernel and bias of a convolution with its batch normalisation folded in."""
    mean, variance = weights[f"{name}.bn.running_mean"], weights[f"{name}.bn.running_var"]
    scale = weights[f"{name}.bn.weight"] / np.sqrt(variance + EPSILON)
    kernel = weights[f"{name}.conv.weight"] * scale[:, None, None, None]
    return [kernel.transpose(2, 3, 1, 0), weights[f"{name}.bn.bias"] - mean * scale]


def _neutralise(model: keras.Model, photos: np.ndarray) -> None:
    """Give every batch normalisation the statistics of these photos, and make it an identity."""
    norms = _of_type(model, layers.BatchNormalization)
    for norm in norms:
        count = norm.gamma.shape[0]
        scale = np.sqrt(1 + norm.epsilon)
        norm.set_weights([np.full(count, scale), *np.zeros((2, count)), np.ones(count)])
    probe = keras.Model(model.input, [norm.input for norm in norms])
    means: list[list[np.ndarray]] = [[] for _ in norms]
    squares: list[list[np.ndarray]] = [[] for _ in norms]
    for start in range(0, len(photos), _BATCH):
        maps = probe.predict_on_batch(photos[start : start + _BATCH].astype(np.float32))
        for index, feature_map in enumerate(maps):
            means[index].append(feature_map.mean((0, 1, 2), np.float64))
            squares[index].append((feature_map.astype(np.float64) ** 2).mean((0, 1, 2)))
    for norm, mean_by_batch, square_by_batch in zip(norms, means, squares, strict=True):
        mean = np.mean(mean_by_batch, 0)
        variance = np.maximum(np.mean(square_by_batch, 0) - mean**2, 0)
        norm.set_weights([np.sqrt(variance + norm.epsilon), mean, mean, variance])


def _of_type(model: keras.Model, kind: type) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


def _linear(weights: Weights, name: str) -> list[np.ndarray]:
    return [weights[f"{name}.weight"].T, weights[f"{name}.bias"]]


def _arrays(network: torch.nn.Module) -> Weights:
    state = network.state_dict()
    return {name: tensor.detach().float().cpu().numpy() for name, tensor in state.items()}
