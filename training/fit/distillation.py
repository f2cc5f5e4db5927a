"""Knowledge distillation: cnn7 learns the teacher's outputs for every augmented image.

The teacher predicts every augmented image, as in Beyer et al. 2022 (arXiv:2106.05237). With only
one prediction per photo, cnn7 memorised the teacher's outputs.
"""

import tempfile
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from lens.loader import load
from lens.openvino_runtime import precisions, run_options
from training.cli import CommandError
from training.fit.options import IMAGENET
from training.networks import efficientnet_lite0
from training.networks.efficientnet import EMBEDDING_SIZE, imagenet_embedder

COMPONENTS = 128
"""Number of principal components of the teacher's embedding that are learned."""

_PCA_PHOTOS = 1024  # Photos to compute the components from: eight for each.
_BATCH = 32


class NotATeacher(CommandError):
    """The model cannot be a teacher; the message says what was expected."""


class Teacher:
    """Predicts each batch with OpenVINO, in bfloat16 if the processor supports it.

    ``keras.distillation.Distiller`` runs the teacher inside the training step, where TensorFlow
    reaches a third of OpenVINO's speed (26 against 86 images/s at 224 px, two AVX2 cores).

    Attributes:
        components: number of components of the teacher's embedding that the student learns.
        knows_lesions: whether the teacher was trained on lesions and so predicts p(malignant).
    """

    def __init__(self, name: str, images: np.ndarray) -> None:
        """Open a teacher and compute the principal components of its embeddings.

        Args:
            name: ``FILE.h5`` of an ``efficientnet_lite0`` from ``training.train``, or ``imagenet``.
            images: the training photos, uint8 (n, height, width, 3).

        Raises:
            NotATeacher: the file contains another network, or Keras's backend cannot convert it.
            InvalidModel: the file is not a valid model.
            MissingWeights: the ImageNet weights are not installed.
        """
        if keras.backend.backend() not in ("tensorflow", "jax"):
            raise NotATeacher(
                "a teacher is converted to OpenVINO, which needs Keras on TensorFlow or JAX; "
                f"expected KERAS_BACKEND=tensorflow or jax, got {keras.backend.backend()}"
            )
        self.knows_lesions = name != IMAGENET
        self._network = _imagenet() if name == IMAGENET else _fine_tuned(Path(name))
        self._compiled: dict[tuple[int, ...], Any] = {}
        # Batches are made by several threads. Only one predicts at a time, because that uses every
        # core.
        self._lock = threading.Lock()
        chosen = np.linspace(0, len(images) - 1, min(_PCA_PHOTOS, len(images))).astype(int)
        batches = np.array_split(chosen, -(-len(chosen) // _BATCH))
        embeddings = np.concatenate(
            [self._predict(images[batch])[:, :EMBEDDING_SIZE] for batch in batches]
        )
        self._mean = embeddings.mean(axis=0)
        _, _, axes = np.linalg.svd(embeddings - self._mean, full_matrices=False)
        self._axes = axes[:COMPONENTS]
        self.components = len(self._axes)

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predict uint8 pixels (n, side, side, 3).

        Returns:
            The leading components of the embeddings, float32 (n, components), and p(malignant),
            float32 (n, 1), which is zero if the teacher was not trained on lesions.
        """
        outputs = self._predict(pixels)
        embeddings, probabilities = outputs[:, :EMBEDDING_SIZE], outputs[:, EMBEDDING_SIZE:]
        return (embeddings - self._mean) @ self._axes.T, probabilities

    def _predict(self, pixels: np.ndarray) -> np.ndarray:
        """Embedding and p(malignant) in one array, float32 (n, 1281)."""
        import openvino

        with self._lock:
            if pixels.shape not in self._compiled:
                network = to_openvino(self._network, pixels.shape)
                # In bfloat16 the probability changes by 0.007 on average, and a prediction takes 17
                # instead of 29 ms of CPU (AVX512_BF16); the student's training step at 384 px takes
                # 10 ms.
                options = run_options(precisions()[0])
                compiled = openvino.Core().compile_model(network, "CPU", options)
                self._compiled[pixels.shape] = compiled
            outputs: np.ndarray = self._compiled[pixels.shape](pixels.astype(np.float32))[0]
            return outputs.copy()


def to_openvino(network: keras.Model, shape: tuple[int, ...]) -> Any:
    """Convert a network to an OpenVINO model for pixels of one shape, (n, height, width, 3)."""
    import openvino
    from openvino.tools.ovc import convert_model

    # Keras uses ``openvino.convert_model``, which is missing here because ``lens.engine`` imports
    # openvino without its converter, to save memory.
    openvino.convert_model = convert_model
    pixels = keras.Input(shape[1:])
    # Without training=False, Keras 3.15 exports batch normalisation after a Resizing layer in
    # training mode.
    fixed = keras.Model(pixels, network(pixels, training=False))
    with tempfile.TemporaryDirectory() as folder:
        fixed.export(f"{folder}/network.xml", format="openvino", verbose=False)
        weights = Path(f"{folder}/network.bin").read_bytes()
        text = Path(f"{folder}/network.xml").read_bytes()
    converted = openvino.Core().read_model(text, weights)
    converted.reshape(list(shape))
    return converted


def _imagenet() -> keras.Model:
    pixels = keras.Input((None, None, 3), name="pixels")
    embedding = imagenet_embedder()(layers.AveragePooling2D(2)(pixels))
    return keras.Model(pixels, keras.ops.pad(embedding, ((0, 0), (0, 1))))


def _fine_tuned(path: Path) -> keras.Model:
    served, card = load(path)
    if card.name != "efficientnet_lite0":
        raise NotATeacher(
            f"{path}: expected an efficientnet_lite0, as python -m training.train --network "
            f"efficientnet_lite0 makes, got {card.name}"
        )
    network = efficientnet_lite0(None)  # For any input size, like the student.
    network.set_weights(served.get_weights())
    embedding = network.get_layer("embedding").output
    return keras.Model(
        network.input, layers.Concatenate()([embedding, network.output["malignant"]])
    )
