"""What a teacher says of the very pixels that a network is shown: what cnn7 is distilled from.

A teacher that judged each photo once, as it lies in its file, was learned by heart: the views
changed and its answers did not. Judging each view is Beyer et al. 2022 (arXiv:2106.05237).
"""

import tempfile
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from lens.loader import load
from training.cli import CommandError
from training.fit.options import IMAGENET
from training.networks import efficientnet_lite0
from training.networks.efficientnet import EMBEDDING, teacher

COMPONENTS = 128
"""Principal components of the teacher's embedding that are learned."""

_SAMPLE = 1024  # photos for these components: eight for each
_BATCH = 32


class NotATeacher(CommandError):
    """A model that cannot teach; ``str(error)`` says what was expected."""


class Lessons:
    """A teacher, asked about each batch, with OpenVINO: 86 images/s on two AVX2 cores.

    Keras's own ``keras.distillation.Distiller`` asks within the training step, where TensorFlow
    gives 26 images/s.

    Attributes:
        components: length of what is learned of an embedding.
        knows_lesions: whether its p(malignant) means anything.
    """

    def __init__(self, name: str, images: np.ndarray) -> None:
        """Open a teacher and find the principal components of what it says of photos.

        Args:
            name: an ``efficientnet_lite0`` of ``training.train``, ``FILE.h5``; or ``imagenet``.
            images: uint8 (n, height, width, 3), the training photos.

        Raises:
            NotATeacher: the file is another network's, or Keras's backend cannot convert it.
            lens.artifact.InvalidModel: the file is no model.
            training.networks.efficientnet.MissingWeights: see there.
        """
        if keras.backend.backend() not in ("tensorflow", "jax"):
            raise NotATeacher(
                "a teacher needs Keras on TensorFlow or JAX, which alone convert to OpenVINO; "
                f"expected KERAS_BACKEND=tensorflow or jax, got {keras.backend.backend()}"
            )
        self.knows_lesions = name != IMAGENET
        self._network = _imagenet() if name == IMAGENET else _fine_tuned(Path(name))
        self._compiled: dict[tuple[int, ...], Any] = {}
        # Of the threads that make batches one asks at a time: it answers with every core.
        self._turn = threading.Lock()
        chosen = np.linspace(0, len(images) - 1, min(_SAMPLE, len(images))).astype(int)
        groups = np.array_split(chosen, -(-len(chosen) // _BATCH))
        said = np.concatenate([self._ask(images[group])[:, :EMBEDDING] for group in groups])
        self._mean = said.mean(axis=0)
        _, _, axes = np.linalg.svd(said - self._mean, full_matrices=False)
        self._axes = axes[:COMPONENTS]
        self.components = len(self._axes)

    def __call__(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the teacher says of uint8 pixels (n, side, side, 3).

        Returns:
            The leading components of its embeddings, float32 (n, components), and its p(malignant),
            float32 (n, 1), 0-1; zero where it knows nothing of lesions.
        """
        said = self._ask(pixels)
        return (said[:, :EMBEDDING] - self._mean) @ self._axes.T, said[:, EMBEDDING:]

    def _ask(self, pixels: np.ndarray) -> np.ndarray:
        import openvino

        with self._turn:
            if pixels.shape not in self._compiled:
                network = _convert(self._network, pixels.shape)
                # Float32 as in training; bfloat16, a CPU's default where it has it, keeps 3 digits.
                how = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
                self._compiled[pixels.shape] = openvino.Core().compile_model(network, "CPU", how)
            answer: np.ndarray = self._compiled[pixels.shape](pixels.astype(np.float32))[0]
            return answer.copy()


def _convert(network: keras.Model, shape: tuple[int, ...]) -> Any:
    """The network, answering as it is served, for pixels of one shape."""
    import openvino
    from openvino.tools.ovc import convert_model

    # Keras looks for it there; ``lens.engine`` loads the package without it, to be light.
    openvino.convert_model = convert_model
    pixels = keras.Input(shape[1:])
    # Said outright: behind a Resizing layer Keras 3.15 exports batch normalisation as in training.
    fixed = keras.Model(pixels, network(pixels, training=False))
    with tempfile.TemporaryDirectory() as folder:
        fixed.export(f"{folder}/teacher.xml", format="openvino", verbose=False)
        # Read whole, so that the files may go.
        weights = Path(f"{folder}/teacher.bin").read_bytes()
        text = Path(f"{folder}/teacher.xml").read_bytes()
    converted = openvino.Core().read_model(text, weights)
    converted.reshape(list(shape))
    return converted


def _imagenet() -> keras.Model:
    pixels = keras.Input((None, None, 3), name="pixels")
    embedding = teacher()(layers.AveragePooling2D(2)(pixels))
    return keras.Model(pixels, keras.ops.pad(embedding, ((0, 0), (0, 1))))


def _fine_tuned(path: Path) -> keras.Model:
    served, card = load(path)
    if card.name != "efficientnet_lite0":
        raise NotATeacher(
            f"{path}: expected an efficientnet_lite0, as python -m training.train --network "
            f"efficientnet_lite0 makes, got {card.name}"
        )
    network = efficientnet_lite0(None)  # any size, as its pupil
    network.set_weights(served.get_weights())
    embedding = network.get_layer("embedding").output
    return keras.Model(
        network.input, layers.Concatenate()([embedding, network.output["malignant"]])
    )
