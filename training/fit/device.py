"""Choose the precision of a run, and distribute it over devices and hosts."""

import ctypes
import os
import platform
from collections.abc import Iterable
from pathlib import Path

import keras

from training.fit.callbacks import Logs, TrainingError
from training.fit.recipes import Stage

# CPU flags of hardware support for bfloat16. Without it bfloat16 is emulated, 12 times slower than
# float32 (1.9 instead of 23 images/s, a seven-layer network at 256 px, two AVX2 cores).
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def choose_precision() -> str:
    """Set Keras's dtype policy to mixed bfloat16 if the hardware supports it, otherwise float32.

    Returns:
        The name of the policy.
    """
    policy = "mixed_bfloat16" if _has_bfloat16() else "float32"
    keras.config.set_dtype_policy(policy)
    return policy


class KeepMemory(keras.callbacks.Callback):
    """Keeps freed memory in the process instead of returning it to the system.

    When batches come from Python, TensorFlow sets M_TRIM_THRESHOLD to 128 kB
    (``generator_dataset_op.cc``), so the C library returns freed memory to the system at once. A
    training step allocates and frees gigabytes; without this callback, half of its time went into
    page faults.
    """

    _M_TRIM_THRESHOLD = -1  # From glibc's malloc.h.
    _M_MMAP_MAX = -4

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if batch == 0 and platform.libc_ver()[0] == "glibc":
            libc = ctypes.CDLL(None)
            libc.mallopt(self._M_MMAP_MAX, 0)
            libc.mallopt(self._M_TRIM_THRESHOLD, 2**31 - 1)


def distribute(stages: Iterable[Stage]) -> None:
    """Divide each batch among all devices, and among all hosts if a run has several.

    Keras does both on JAX (keras.io/guides/distribution); other backends use one device. For
    several hosts, the same command runs on each with these environment variables:
    KERAS_DISTRIBUTION_JOB_ADDRESSES, the address and port of host 0;
    KERAS_DISTRIBUTION_NUM_PROCESSES; and KERAS_DISTRIBUTION_PROCESS_ID, from 0.

    Args:
        stages: the stages of the recipe, whose batch sizes are checked.

    Raises:
        TrainingError: the run has several hosts without JAX, or a batch cannot be divided evenly.
    """
    several = int(os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "1")) > 1
    if keras.backend.backend() != "jax":
        if several:
            raise TrainingError(
                "expected KERAS_BACKEND=jax, the only backend that trains on several hosts, got "
                f"{keras.backend.backend()}"
            )
        return
    if several:
        keras.distribution.initialize()
    devices = len(keras.distribution.list_devices())
    for stage in stages:
        if stage.batch % devices:
            raise TrainingError(
                f"expected batches that {devices} devices can divide evenly, got {stage.batch} "
                "images; change the size with --set stages.0.batch=..."
            )
    if devices > 1:
        parallel = keras.distribution.DataParallel(auto_shard_dataset=False)
        keras.distribution.set_distribution(parallel)


def host() -> tuple[int, int]:
    """The number of this host, from 0, and the number of hosts of the run."""
    if keras.backend.backend() != "jax":
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


def _has_bfloat16() -> bool:
    if _has_gpu():
        return True
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and bool(_BFLOAT16_FLAGS & set(cpuinfo.read_text().split()))


def _has_gpu() -> bool:
    if keras.backend.backend() == "torch":  # keras.distribution does not support PyTorch.
        import torch

        return torch.cuda.is_available()
    return any("gpu" in device for device in keras.distribution.list_devices())
