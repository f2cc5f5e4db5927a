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

# Few photos, always in one batch: converting a teacher for another batch shape takes 4 seconds.
PHOTOS = np.stack([painter.lesion(index, size=500) for index in range(4)])


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


@pytest.fixture(scope="module")
def network(fine_tuned: Path) -> keras.Model:
    """The teacher's network in Keras, with the embedding and the probability as outputs."""
    network = efficientnet_lite0(None)
    network.set_weights(loader.load(fine_tuned)[0].get_weights())
    outputs = [network.get_layer("embedding").output, network.output["malignant"]]
    return keras.Model(network.input, outputs)


def distances(vectors: np.ndarray) -> np.ndarray:
    """The distances between all pairs of vectors."""
    return np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)


@pytest.mark.parametrize("side", [128, 500])
def test_a_teacher_predicts_the_same_as_its_model_file(teacher, network, side):
    pixels = PHOTOS[:, :side, :side]
    embeddings, probabilities = network.predict_on_batch(pixels.astype(np.float32))
    components, predicted = teacher(pixels)
    np.testing.assert_allclose(predicted, probabilities, atol=1e-4)
    # Principal components are a rotation and a shift, so dropping some only reduces distances.
    assert components.shape == (4, teacher.components)
    assert (distances(components) <= distances(embeddings) + 1e-3).all()
    assert distances(components)[0, 1] > 0


def test_the_components_keep_the_distances_between_the_photos_they_were_computed_from(
    teacher, network
):
    embeddings, _ = network.predict_on_batch(PHOTOS.astype(np.float32))
    components, _ = teacher(PHOTOS)
    np.testing.assert_allclose(distances(components), distances(embeddings), atol=1e-3)


def test_the_imagenet_teacher_embeds_at_half_size_and_predicts_no_probability():
    teacher = Teacher(IMAGENET, PHOTOS)
    assert not teacher.knows_lesions
    components, predicted = teacher(PHOTOS)
    assert not predicted.any()
    half = PHOTOS.reshape(-1, 250, 2, 250, 2, 3).mean((2, 4), dtype=np.float32)
    embeddings = imagenet_embedder().predict_on_batch(half)
    np.testing.assert_allclose(distances(components), distances(embeddings), atol=1e-3)


def test_a_batch_contains_the_teachers_predictions_for_its_augmented_images(teacher):
    rows = [Row(f"{i}.jpg", "painted", "nevus", i % 2, f"g{i}", "train") for i in range(4)]
    batches = Batches(
        Examples(PHOTOS, rows, PHOTOS[:0], teacher),
        weights=np.full(4, 1 / 4),
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
