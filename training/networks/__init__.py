"""The networks, by name. Keras is imported only when the first network is built."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lens.images import SIZE

if TYPE_CHECKING:
    import keras

    from training.networks.cnn import cnn7, cnn_v1, cnn_v2, cnn_v3
    from training.networks.efficientnet import efficientnet_lite0

__all__ = ["cnn7", "cnn_v1", "cnn_v2", "cnn_v3", "efficientnet_lite0"]

PAPER = ("cnn_v1", "cnn_v2", "cnn_v3")
"""The paper's three networks: their input size is fixed, and ``malignant`` is their only output."""
NAMES = (*PAPER, "cnn7", "efficientnet_lite0")


def build(name: str, size: int | None = SIZE) -> "keras.Model":
    """Build a network.

    Args:
        name: one of ``NAMES``.
        size: side of the input in pixels; None for any, which the paper's networks do not support.
    """
    network: keras.Model = _builders()[name](size)
    return network


def build_to_train(name: str) -> "keras.Model":
    """Build a network for any input size, so that the same weights are trained in all stages.

    The paper's networks only take 500 px.
    """
    return build(name, SIZE if name in PAPER else None)


def __getattr__(name: str) -> Any:
    if name in NAMES:
        return _builders()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _builders() -> "dict[str, Callable[..., keras.Model]]":
    from training.networks.cnn import cnn7, cnn_v1, cnn_v2, cnn_v3
    from training.networks.efficientnet import efficientnet_lite0

    builders = (cnn_v1, cnn_v2, cnn_v3, cnn7, efficientnet_lite0)
    return {builder.__name__: builder for builder in builders}
