"""The teacher predicts the same as its model file, and exactly the pixels of each batch."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import painter
import pytest

from lens import artifact, loader
from lens.card import Card
from training.datasets.manifest import Row
from training.fit import distillation
from training.fit.augmentation import Augmentation
from training.fit.batches import Batches, Examples
from training.fit.distillation import IMAGENET, NotATeacher, Teacher
from training.networks import cnn7, efficientnet_lite0
from training.networks.efficientnet import imagenet_embedder

PHOTOS = np.stack([painter.lesion(index, size=500) for index in range(12)])


@pytest.fixture(scope="module", autouse=True)
def float32() -> Iterator[None]:
    """Teachers predict in float32 on every processor, so that the results can be compared."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distillation, "precisions", lambda: ["f32"])
        yield


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "teacher.h5"
    keras.utils.set_random_seed(0)
    artifact.save(efficientnet_lite0(), path, Card("efficientnet_lite0"))
    return path


@pytest.fixture(scope="module")
def teacher(fine_tuned: Path) -> Teacher:
    return Teacher(str(fine_tuned), PHOTOS)


@pytest.mark.parametrize("side", [128, 500])
def test_a_teacher_predicts_the_same_as_its_model_file(teacher, fine_tuned, side):
    pixels = PHOTOS[:2, :side, :side]
    network = efficientnet_lite0(None)
    network.set_weights(loader.load(fine_tuned)[0].get_weights())
    embed = keras.Model(network.input, network.get_layer("embedding").output)
    embedding = embed.predict_on_batch(pixels.astype(np.float32))
    expected = network.predict_on_batch(pixels.astype(np.float32))["malignant"]

    components, probability = teacher(pixels)
    np.testing.assert_allclose(probability, expected, atol=1e-4)
    # Principal components are a rotation and a shift, so dropping some can only shorten a distance.
    assert components.shape == (2, teacher.components)
    distance = np.linalg.norm(embedding[0] - embedding[1])
    assert 0 < np.linalg.norm(components[0] - components[1]) <= distance + 1e-3


def test_the_components_keep_the_distances_between_the_photos_they_were_computed_from(
    teacher, fine_tuned
):
    model, _ = loader.load(fine_tuned)
    embed = keras.Model(model.input, model.get_layer("embedding").output)
    embedding = embed.predict_on_batch(PHOTOS[:3].astype(np.float32))
    components, _ = teacher(PHOTOS[:3])
    expected = np.linalg.norm(embedding[:, None] - embedding[None], axis=-1)
    np.testing.assert_allclose(
        np.linalg.norm(components[:, None] - components[None], axis=-1), expected, atol=1e-3
    )


def test_the_imagenet_teacher_embeds_at_half_size_and_predicts_no_probability():
    teacher = Teacher(IMAGENET, PHOTOS)
    assert not teacher.knows_lesions
    components, probability = teacher(PHOTOS[:3])
    assert not probability.any()
    half = PHOTOS[:3].reshape(3, 250, 2, 250, 2, 3).mean((2, 4), dtype=np.float32)
    embedding = imagenet_embedder().predict_on_batch(half)
    np.testing.assert_allclose(
        np.linalg.norm(components[0] - components[1]),
        np.linalg.norm(embedding[0] - embedding[1]),
        atol=1e-3,
    )


def test_a_batch_contains_the_teachers_predictions_for_its_augmented_images(teacher):
    rows = [Row(f"{i}.jpg", "painted", "nevus", i % 2, f"g{i}", "train") for i in range(12)]
    batches = Batches(
        Examples(PHOTOS, rows, PHOTOS[:0], teacher),
        weights=np.full(12, 1 / 12),
        outputs=("malignant", "lesion", "teacher", "opinion"),
        augmentation=Augmentation(rotation=180, gain=0.3),
        size=128,
        batch=4,
        steps=1,
        other_share=0.3,
        graft_share=0.3,
        seed=0,
        epoch=0,
    )
    pixels, targets, weights = batches[0]
    embedding, probability = teacher(pixels)
    np.testing.assert_allclose(targets["teacher"], embedding, atol=1e-4)
    np.testing.assert_allclose(targets["opinion"], probability, atol=1e-5)
    np.testing.assert_array_equal(weights["opinion"], targets["lesion"][:, 0])


def test_a_model_of_another_network_is_rejected_as_a_teacher(tmp_path):
    path = tmp_path / "cnn7.h5"
    artifact.save(cnn7(), path, Card("cnn7"))
    with pytest.raises(NotATeacher, match=r"expected an efficientnet_lite0, .* got cnn7"):
        Teacher(str(path), PHOTOS)


def test_a_backend_that_cannot_convert_the_teacher_is_rejected_with_a_message(monkeypatch):
    monkeypatch.setattr(distillation.keras.backend, "backend", lambda: "torch")
    with pytest.raises(NotATeacher, match="got torch"):
        Teacher(IMAGENET, PHOTOS)
