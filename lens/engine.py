"""Run the network: OpenVINO when it is installed, Keras otherwise; both give the same numbers.

OpenVINO runs a copy of the model that ``lens.model_cache`` made in a child process, so that a web
worker never imports TensorFlow (120 MB of memory instead of 870, ready in 1 s instead of 10).
"""

import importlib.util
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lens import loader, model_cache
from lens.images import SIZE
from lens.probability import is_probability

log = logging.getLogger(__name__)

KINDS = ("auto", "openvino", "keras")


class EngineError(Exception):
    """The network cannot be run; ``str(error)`` says what was expected, what came, what to do."""


@dataclass(frozen=True)
class Outputs:
    """What the network says of n images.

    Attributes:
        malignant: float32 (n,), probability 0-1 as the network gives it, not calibrated.
        heat_map: float32 (n, h, w), raw class activation map (positive speaks for malignant), or
            None for a network without one.
        lesion: float32 (n,), probability 0-1 that the image shows a lesion at all, or None.
        clinical: float32 (n,), probability 0-1 that the photo is a clinical close-up and not taken
            through a dermatoscope (the network's output ``kind``), or None.
    """

    malignant: np.ndarray
    heat_map: np.ndarray | None
    lesion: np.ndarray | None
    clinical: np.ndarray | None = None


class Engine(Protocol):
    """A loaded network. ``run`` may be called from any number of threads at once."""

    name: str

    def run(self, images: np.ndarray) -> Outputs:
        """Run the network on uint8 images of shape (n, 500, 500, 3), RGB, n at least 1.

        Raises:
            EngineError: the array has another shape or dtype, or the network's answer is not
                finite.
        """
        ...


def open_engine(
    path: str | Path,
    kind: str = "auto",
    cache_dir: str | Path | None = None,
    threads: int | None = None,
    output: str = "probability",
) -> Engine:
    """Load a model file into an engine.

    Args:
        path: a Keras ``.h5`` file.
        kind: "openvino", "keras", or "auto": OpenVINO when installed, else Keras.
        cache_dir: where converted models are kept; by default ``molelens`` in the user's cache
            folder (XDG).
        threads: processor threads for one run; by default OMP_NUM_THREADS, else every core. With
            several processes, give each its share.
        output: what a network that is not ours gives: "probability", or "logit" (log-odds).

    Returns:
        An engine of the kind asked for; or the Keras engine, with a warning in the log, where
        OpenVINO's answers differ too much from Keras's, or where "auto" cannot convert the file.

    Raises:
        artifact.InvalidModel: the file is missing, corrupt, carries code, or gives no probability.
        EngineError: ``kind`` is unknown, "openvino" was asked for and cannot run, or a signal
            ended the process that converts the file.
    """
    if kind not in KINDS:
        raise EngineError(f"Expected an engine of {', '.join(KINDS)}, got {kind!r}.")
    installed = importlib.util.find_spec("openvino") is not None
    if kind == "openvino" and not installed:
        raise EngineError(
            "The OpenVINO engine was asked for, but the package openvino is not installed; "
            "install it (pip install openvino), or choose the engine keras or auto."
        )
    path, threads = Path(path), threads or _share_of_cores()
    if kind == "keras" or not installed:
        return KerasEngine(path, threads, output)
    try:
        return OpenVinoEngine(model_cache.converted(path, cache_dir, output), threads)
    except model_cache.NotConvertedError as error:
        killed = isinstance(error, model_cache.ConverterKilledError)
        wanted = kind == "openvino" and not error.differs
        if killed or wanted or not _keras_installed():
            raise EngineError(f"OpenVINO cannot run the model: {error}") from error
        log.warning("THE SLOW KERAS ENGINE SERVES %s, since %s", path, error)
        return KerasEngine(path, threads, output)


def _keras_installed() -> bool:
    return importlib.util.find_spec("keras") is not None


def _share_of_cores() -> int | None:
    """What OMP_NUM_THREADS grants, the variable NumPy and PyTorch obey too; None if unset."""
    granted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(granted) if granted.isdecimal() and int(granted) > 0 else None


class OpenVinoEngine:
    """The converted model on OpenVINO's CPU plugin; holds no TensorFlow.

    Images of a batch are run one after another: on the cores of one worker a batch of 8 views
    takes as long either way (62 ms as one batch, 61 ms one by one), but one batch needs 8 times
    the memory for activations (161 against 102 MB for the whole process).
    """

    name = "openvino"

    def __init__(self, model: "model_cache.Converted", threads: int | None = None) -> None:
        openvino = model_cache.load_openvino()
        self._tensor = openvino.Tensor
        network = openvino.Core().compile_model(
            model.xml, "CPU", model_cache.run_options(model.precision, threads)
        )
        self._outputs = {name for output in network.outputs for name in output.names}
        self._request = network.create_infer_request()
        # One request per process: it already uses every thread this process may use.
        self._turn = threading.Lock()

    def run(self, images: np.ndarray) -> Outputs:
        images = np.ascontiguousarray(_checked(images))
        with self._turn:
            answers = [self._one(images[i : i + 1]) for i in range(len(images))]
        return _outputs({name: np.concatenate([a[name] for a in answers]) for name in answers[0]})

    def _one(self, image: np.ndarray) -> dict[str, np.ndarray]:
        # The tensor is a view of the image's own memory; infer() releases the GIL while it runs.
        self._request.infer([self._tensor(image, shared_memory=True)])
        return {name: self._request.get_tensor(name).data.copy() for name in self._outputs}


class KerasEngine:
    """The ``.h5`` itself, run by Keras; never in a process that forks afterwards."""

    name = "keras"

    def __init__(self, path: Path, threads: int | None = None, output: str = "probability") -> None:
        if not _keras_installed():
            raise EngineError(
                "The Keras engine needs Keras and TensorFlow, which are not installed; install "
                "them (pip install 'molelens[convert]'), or choose the engine openvino or auto."
            )
        import keras

        if keras.backend.backend() == "tensorflow":
            _limit_tensorflow(threads)
        self._call = _compiled(loader.load_network(path, output))
        self._call(np.zeros((1, SIZE, SIZE, 3), np.uint8))  # Traces now, not in a request.

    def run(self, images: np.ndarray) -> Outputs:
        return _outputs(self._call(_checked(images)))


def _compiled(network: loader.Network) -> Any:
    """The network as a function of uint8 images to a dict of arrays (model.predict costs 25 ms)."""
    import keras

    def call(images: Any) -> Any:
        return network(keras.ops.cast(images, "float32"))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # One trace for every batch size; a finished trace may be called from many threads.
        call = tf.function(call, input_signature=[tf.TensorSpec((None, SIZE, SIZE, 3), tf.uint8)])
    to_numpy = keras.ops.convert_to_numpy
    return lambda images: {name: to_numpy(value) for name, value in call(images).items()}


def _limit_tensorflow(threads: int | None) -> None:
    import tensorflow as tf

    if threads is None:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        log.debug("TensorFlow is already running; its threads stay as they are")


def _checked(images: np.ndarray) -> np.ndarray:
    if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE, 3) or not len(images):
        raise EngineError(
            f"Expected uint8 images of shape (n, {SIZE}, {SIZE}, 3), got {images.dtype} "
            f"{images.shape}; decode photos with lens.images.decode."
        )
    return images


def _outputs(answer: dict[str, np.ndarray]) -> Outputs:
    heat_map, lesion, kind = (answer.get(name) for name in ("heat_map", "lesion", "kind"))
    outputs = Outputs(
        malignant=answer["malignant"][:, 0].astype(np.float32),
        heat_map=None if heat_map is None else heat_map[..., 0].astype(np.float32),
        lesion=None if lesion is None else lesion[:, 0].astype(np.float32),
        clinical=None if kind is None else kind[:, 0].astype(np.float32),
    )
    # A NaN is below every threshold, and so are most logits: left alone, they read as "benign".
    for values in (outputs.malignant, outputs.lesion, outputs.clinical):
        if values is not None and not is_probability(values):
            raise EngineError(
                f"Expected probabilities from the network, 0 to 1, got {values}; its last layer "
                "may lack a sigmoid, or the model file be damaged."
            )
    return outputs
