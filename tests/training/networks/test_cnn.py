"""The paper's networks have the printed parameter counts; the layers and outputs of ``cnn7``."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from training.networks import cnn7, cnn_v1, cnn_v2, cnn_v3


@pytest.mark.parametrize(
    ("build", "parameters", "convolutions"),
    [(cnn_v1, 11_354_369, 5), (cnn_v2, 14_714_753, 6), (cnn_v3, 10_535_809, 6)],
)
def test_the_papers_networks_have_the_printed_parameter_counts(
    build: Callable[[], keras.Model], parameters: int, convolutions: int
) -> None:
    network = build()
    assert network.count_params() == parameters
    assert sum(isinstance(layer, keras.layers.Conv2D) for layer in network.layers) == convolutions
    assert network.input_shape == (None, 500, 500, 3)


def test_cnn7_has_seven_convolutions_and_at_most_5_million_parameters() -> None:
    network = cnn7()
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds.count("Conv2D") == 7
    assert not [kind for kind in kinds if "Conv" in kind and kind != "Conv2D"]
    assert network.count_params() <= 5_000_000


def test_the_mean_of_the_heat_map_is_the_logit() -> None:
    network = cnn7(None)
    image = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3)).astype(np.float32)
    outputs = {name: np.asarray(value) for name, value in network(image).items()}
    logit = outputs["heat_map"].mean(axis=(1, 2))
    assert np.allclose(1 / (1 + np.exp(-logit)), outputs["malignant"], atol=1e-6)


@pytest.mark.parametrize("size", [96, 224, 500])
def test_cnn7_accepts_any_input_size(size: int) -> None:
    outputs = cnn7(None)(np.zeros((1, size, size, 3), np.float32))
    assert outputs["malignant"].shape == outputs["lesion"].shape == (1, 1)
