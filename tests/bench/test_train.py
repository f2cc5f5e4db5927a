"""``bench.train`` compares the same network in Keras and in PyTorch."""

import keras
import numpy as np
import pytest

from training import networks

HEADS = ("lesion", "kind", "clinical_map", "dermoscopic_map")


@pytest.mark.parametrize("size", [128, 250])
def test_the_pytorch_network_gives_the_outputs_of_the_keras_network(size: int) -> None:
    torch = pytest.importorskip("torch")
    from bench.torch_training import Cnn7

    ours = networks.cnn7(None)
    rng = np.random.default_rng(0)
    ours.set_weights([weight + rng.random(weight.shape) / 20 for weight in ours.get_weights()])
    theirs = Cnn7().eval()
    gates = [gate for excite in theirs.excite for gate in (excite.narrow, excite.wide)]
    for kind, modules in (
        (keras.layers.Conv2D, theirs.convolutions),
        (keras.layers.BatchNormalization, theirs.norms),
        (keras.layers.Dense, [*gates, *(getattr(theirs.heads, name) for name in HEADS)]),
    ):
        layers = [layer for layer in ours.layers if isinstance(layer, kind)]
        order_of_head = {name: number for number, name in enumerate(HEADS, 1)}
        layers.sort(key=lambda layer: order_of_head.get(layer.name, 0))  # The gates come first.
        for layer, module in zip(layers, modules, strict=True):
            arrays = [torch.tensor(array) for array in layer.get_weights()]
            if kind is keras.layers.BatchNormalization:
                module.weight.data, module.bias.data = arrays[:2]
                module.running_mean, module.running_var = arrays[2:]
            else:
                order = (3, 2, 0, 1) if arrays[0].ndim == 4 else (1, 0)
                module.weight.data, module.bias.data = arrays[0].permute(order), arrays[1]
    pixels = rng.integers(0, 256, (2, size, size, 3)).astype(np.float32)
    expected = ours.predict_on_batch(pixels)
    with torch.no_grad():
        logits = theirs(torch.tensor(pixels).permute(0, 3, 1, 2))
    ours_logits = expected["heat_map"].mean((1, 2, 3))
    np.testing.assert_allclose(logits["malignant"].numpy(), ours_logits, rtol=1e-3)
    for name in ("lesion", "kind"):
        probabilities = torch.sigmoid(logits[name]).numpy()
        np.testing.assert_allclose(probabilities, expected[name][:, 0], atol=1e-4)
