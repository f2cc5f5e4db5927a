"""Run the network with OpenVINO if installed, otherwise with Keras; both give the same results.

OpenVINO runs a copy of the model that ``lens.model_cache`` converts in a child process, so a web
worker with it never imports TensorFlow: it uses 120 MB instead of 870 and starts in 1 s instead of
10.
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
from lens.arrays import Floats, Pixels
from lens.images import SIZE
from lens.openvino_runtime import load_openvino, run_options
from lens.probability import is_probability

log = logging.getLogger(__name__)

ENGINES = ("auto", "openvino", "keras")


class EngineError(Exception):
    """The network cannot run; ``str(error)`` says why and what to do."""


@dataclass(frozen=True)
class Outputs:
    """The network's outputs for n images; None for those that the network does not have.

    Attributes:
        malignant: float32 (n,), uncalibrated probability.
        heat_map: float32 (n, h, w), class activation map; positive values speak for malignant.
        lesion: float32 (n,), probability that the image shows a lesion.
        clinical: float32 (n,), probability that the photo is a clinical close-up, not taken
            through a dermatoscope (the network's output ``kind``).
    """

    malignant: Floats
    heat_map: Floats | None
    lesion: Floats | None
    clinical: Floats | None = None


class Engine(Protocol):
    """A loaded network. Any number of threads may call ``run`` at the same time."""

    name: str

    def run(self, images: Pixels) -> Outputs:
        """Run the network on uint8 images of shape (n, 500, 500, 3), RGB, n at least 1.

        Raises:
            EngineError: the array has another shape or dtype, or an output is no probability.
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
        cache_dir: folder for converted models; by default ``molelens`` in the user's cache
            folder (XDG).
        threads: CPU threads for one run; by default OMP_NUM_THREADS, else one for each core. Give
            each of several processes its share.
        output: what a third-party network returns: "probability", or "logit" (log-odds).

    Returns:
        The requested engine. If OpenVINO's results differ too much from Keras's, or if "auto"
        cannot convert the file: the Keras engine, with a warning in the log.

    Raises:
        artifact.InvalidModel: the file is missing, corrupt, contains code, or gives no probability.
        EngineError: ``kind`` is unknown, "openvino" was requested and cannot run, or a signal
            killed the process that converts the file.
    """
    if kind not in ENGINES:
        raise EngineError(f"Expected an engine of {', '.join(ENGINES)}, got {kind!r}.")
    installed = importlib.util.find_spec("openvino") is not None
    if kind == "openvino" and not installed:
        raise EngineError(
            "The OpenVINO engine was asked for, but the package openvino is not installed; "
            "install it (pip install openvino), or choose the engine keras or auto."
        )
    path, threads = Path(path), threads or _omp_threads()
    if kind == "keras" or not installed:
        return KerasEngine(path, threads, output)
    try:
        return OpenVinoEngine(model_cache.converted(path, cache_dir, output), threads)
    except model_cache.NotConvertedError as error:
        killed = isinstance(error, model_cache.ConverterKilledError)
        required = kind == "openvino" and not error.differs
        if killed or required or not _keras_installed():
            raise EngineError(f"OpenVINO cannot run the model: {error}") from error
        log.warning("THE SLOW KERAS ENGINE SERVES %s, since %s", path, error)
        return KerasEngine(path, threads, output)


def _keras_installed() -> bool:
    return importlib.util.find_spec("keras") is not None


def _omp_threads() -> int | None:
    """OMP_NUM_THREADS, which NumPy and PyTorch use, too; None if unset."""
    number = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(number) if number.isdecimal() and int(number) > 0 else None


class OpenVinoEngine:
    """The converted model on OpenVINO's CPU plugin, without TensorFlow.

    The images of a batch are run one after another. For 8 views this takes as long as one batch (61
    and 62 ms on the cores of one worker) and needs less memory (102 and 161 MB for the process).
    """

    name = "openvino"

    def __init__(self, model: "model_cache.Converted", threads: int | None = None) -> None:
        openvino = load_openvino()
        self._tensor = openvino.Tensor
        network = openvino.Core().compile_model(
            model.xml, "CPU", run_options(model.precision, threads)
        )
        self._outputs = {name for output in network.outputs for name in output.names}
        self._request = network.create_infer_request()
        # One request at a time is enough, because it uses all threads that this process may use.
        self._lock = threading.Lock()

    def run(self, images: Pixels) -> Outputs:
        images = np.ascontiguousarray(_checked(images))
        with self._lock:
            answers = [self._run_one(images[i : i + 1]) for i in range(len(images))]
        return _outputs({name: np.concatenate([a[name] for a in answers]) for name in answers[0]})

    def _run_one(self, image: Pixels) -> dict[str, Floats]:
        # The tensor shares the image's memory; infer() releases the GIL while it runs.
        self._request.infer([self._tensor(image, shared_memory=True)])
        return {name: self._request.get_tensor(name).data.copy() for name in self._outputs}


class KerasEngine:
    """Runs the ``.h5`` itself with Keras. A process that uses it must not fork afterwards."""

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
        # The first call traces the function, which would delay a request.
        self._call(np.zeros((1, SIZE, SIZE, 3), np.uint8))

    def run(self, images: Pixels) -> Outputs:
        return _outputs(self._call(_checked(images)))


def _compiled(network: loader.Network) -> Any:
    """Compile the network to a function of uint8 images, 25 ms faster than model.predict."""
    import keras

    def call(images: Any) -> Any:
        return network(keras.ops.cast(images, "float32"))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # One trace is enough for all batch sizes. Threads may share it.
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


def _checked(images: Pixels) -> Pixels:
    if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE, 3) or not len(images):
        raise EngineError(
            f"Expected uint8 images of shape (n, {SIZE}, {SIZE}, 3), got {images.dtype} "
            f"{images.shape}; decode photos with lens.images.decode."
        )
    return images


def _outputs(answer: dict[str, Floats]) -> Outputs:
    heat_map, lesion, kind = (answer.get(name) for name in ("heat_map", "lesion", "kind"))
    outputs = Outputs(
        malignant=answer["malignant"][:, 0].astype(np.float32),
        heat_map=None if heat_map is None else heat_map[..., 0].astype(np.float32),
        lesion=None if lesion is None else lesion[:, 0].astype(np.float32),
        clinical=None if kind is None else kind[:, 0].astype(np.float32),
    )
    # NaN and most logits are below the threshold, so they would give the verdict "benign".
    for values in (outputs.malignant, outputs.lesion, outputs.clinical):
        if values is not None and not is_probability(values):
            raise EngineError(
                f"Expected probabilities from the network, 0 to 1, got {values}; its last layer "
                "may lack a sigmoid, or the model file be damaged."
            )
    return outputs
