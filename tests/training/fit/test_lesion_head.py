"""Refitting the refusal output on the embedding of a finished network."""

import keras
import numpy as np
import painter

from training.datasets.manifest import Row
from training.fit.batches import Examples
from training.fit.last_layers import refit_refusal
from training.networks import cnn7


def test_an_untrained_network_separates_lesions_from_the_sea_after_refitting(monkeypatch):
    monkeypatch.setattr("training.fit.last_layers.PAINTED_SAMPLES", 8)
    monkeypatch.setattr("training.fit.last_layers.SKIN_CROPS", 8)
    keras.utils.set_random_seed(0)
    model = cnn7()
    before = {layer.name: layer.get_weights() for layer in model.layers if layer.name != "lesion"}
    lesions = np.stack([painter.lesion(index, size=500) for index in range(24)])
    seas = np.stack([painter.sea(index, 500) for index in range(24)])
    rows = [Row(f"{i}.jpg", "painted", "nevus", i % 2, f"g{i}", "train") for i in range(16)]
    refit_refusal(model, Examples(lesions[:16], rows, seas[:16], None), seed=0)

    outputs = model.predict_on_batch(np.concatenate([lesions[16:], seas[16:]]).astype(np.float32))
    assert outputs["lesion"][:8].min() > outputs["lesion"][8:].max()
    for layer in model.layers:
        for after, earlier in zip(layer.get_weights(), before.get(layer.name, []), strict=False):
            np.testing.assert_array_equal(after, earlier)
