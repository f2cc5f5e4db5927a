"""What a run computes on: how precisely, on how many devices, of how many machines."""

import ctypes
import os
import platform
from collections.abc import Iterable
from pathlib import Path

import keras

from training.fit.callbacks import TrainingError
from training.fit.recipes import Stage

# Processors that multiply bfloat16 themselves; elsewhere it is emulated, 12 times slower than
# float32 (23 images/s against 1.9, a seven-layer network at 256 px, two AVX2 cores).
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def choose_precision() -> str:
    """Set Keras's dtype policy to mixed bfloat16 where the hardware has it, else float32.

    Returns:
        The policy chosen.
    """
    policy = "mixed_bfloat16" if _has_bfloat16() else "float32"
    keras.config.set_dtype_policy(policy)
    return policy


class KeepMemory(keras.callbacks.Callback):
    """Undoes what TensorFlow sets in the C library when it reads batches from Python.

    TensorFlow then has the C library give each large piece of memory back to the system as soon as
    it is free (``generator_dataset_op.cc``: M_TRIM_THRESHOLD of 128 kB); a step of a network takes
    and frees gigabytes, and half of its time went into the kernel's page faults.
    """

    _M_TRIM_THRESHOLD = -1  # numbers of glibc's malloc.h
    _M_MMAP_MAX = -4

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if batch == 0 and platform.libc_ver()[0] == "glibc":
            libc = ctypes.CDLL(None)
            libc.mallopt(self._M_MMAP_MAX, 0)
            libc.mallopt(self._M_TRIM_THRESHOLD, 2**31 - 1)


def distribute(stages: Iterable[Stage]) -> None:
    """Share each batch among all devices, and among all hosts where a run has several.

    Keras does both with JAX (keras.io/guides/distribution). Hosts are told of each other by its own
    variables, which every host sets before the same command: KERAS_DISTRIBUTION_JOB_ADDRESSES,
    the address and port of host 0; _NUM_PROCESSES; _PROCESS_ID, from 0.

    Raises:
        TrainingError: another backend is asked for several hosts, or a batch cannot be shared.
    """
    several = int(os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "1")) > 1
    if keras.backend.backend() != "jax":
        if several:
            raise TrainingError(
                "expected KERAS_BACKEND=jax, which alone trains on several hosts, got "
                f"{keras.backend.backend()}"
            )
        return
    if several:
        keras.distribution.initialize()
    devices = len(keras.distribution.list_devices())
    for stage in stages:
        if stage.batch % devices:
            raise TrainingError(
                f"expected batches that {devices} devices can share evenly, got {stage.batch} "
                "images; change them with --set stages.0.batch=..."
            )
    if devices > 1:
        parallel = keras.distribution.DataParallel(auto_shard_dataset=False)
        keras.distribution.set_distribution(parallel)


def host() -> tuple[int, int]:
    """Which of the hosts of this run this one is, from 0, and how many there are."""
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
    if keras.backend.backend() == "torch":  # It has no keras.distribution.
        import torch

        return torch.cuda.is_available()
    return any("gpu" in device for device in keras.distribution.list_devices())
