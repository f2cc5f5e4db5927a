"""Refitting the last layer of each kind of photo on the photos of that kind only."""

import numpy as np
import pytest

from training.datasets.manifest import Row
from training.fit.last_layers import MIN_IMAGES, refit_malignant_on_embeddings
from training.networks import cnn7

CHANNELS = 768


def photos(kind: str, count: int, direction: int) -> tuple[np.ndarray, list[Row]]:
    """Embeddings whose first channel predicts malignant: high if ``direction`` is 1, low if -1."""
    rng = np.random.default_rng(count + direction)
    malignant = rng.random(count) < 0.5
    embeddings = rng.normal(0, 0.1, (count, CHANNELS)).astype(np.float32)
    embeddings[:, 0] += direction * np.where(malignant, 1, -1)
    rows = [Row("", "one", "bcc", int(m), "", "train", kind) for m in malignant]
    return embeddings, rows


def test_the_layer_of_each_kind_is_fitted_to_its_own_photos() -> None:
    model = cnn7(64)
    clinical, dermoscopic = photos("clinical", 400, 1), photos("dermoscopic", 400, -1)
    embeddings = np.concatenate([clinical[0], dermoscopic[0]])
    refit_malignant_on_embeddings(model, embeddings, clinical[1] + dermoscopic[1])
    weight = {
        k: model.get_layer(f"{k}_map").get_weights()[0][0, 0] for k in ("clinical", "dermoscopic")
    }
    assert weight["clinical"] > 0 > weight["dermoscopic"]


@pytest.mark.parametrize(
    ("count", "malignant"), [(MIN_IMAGES - 1, None), (400, 1)], ids=["too few photos", "one class"]
)
def test_a_kind_that_cannot_be_fitted_keeps_its_layer(count: int, malignant: int | None) -> None:
    model = cnn7(64)
    before = [value.copy() for value in model.get_layer("clinical_map").get_weights()]
    embeddings, rows = photos("clinical", count, 1)
    if malignant is not None:
        rows = [Row("", "one", "bcc", malignant, "", "train", "clinical") for _ in rows]
    refit_malignant_on_embeddings(model, embeddings, rows)
    after = model.get_layer("clinical_map").get_weights()
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
