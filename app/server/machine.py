"""The cores and memory that this process may use, and the defaults that follow from them."""

import math
import os
from pathlib import Path

WORKER_BYTES = 400_000_000
"""Memory to allow for a worker: 120 MB when idle, and ``lens.images.MAX_DECODING_BYTES`` for the
photos being decoded. tests/fuzz.py fails if a process takes more. The child processes that decode
AVIF and HEIC are limited separately (``lens.sandbox.BASE_MEMORY_BYTES``)."""

THREADS = 64
"""Default number of threads of a worker."""

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = CGROUPS, own: Path = OWN_GROUP) -> int:
    """Number of cores that CPU affinity and cgroup quotas allow; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    # "150000 100000" means one and a half cores, "max 100000" no quota.
    quotas = [text.split() for text in _limits("cpu.max", cgroups, own)]
    quotas.append([_read(cgroups / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period")])
    for quota, period in quotas:
        if quota.isdecimal():
            cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def usable_bytes(cgroups: Path = CGROUPS, own: Path = OWN_GROUP) -> int:
    """Memory of the machine, or less if cgroups limit it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [*_limits("memory.max", cgroups, own)]
    limits.append(_read(cgroups / "memory" / "memory.limit_in_bytes"))
    return min([machine, *(int(limit) for limit in limits if limit.isdecimal())])


def default_workers() -> int:
    """One process per core, or fewer if memory is short.

    With a process per core, requests do not wait for each other's Python code (GIL), and a crash in
    an image decoder ends one process only.
    """
    return max(1, min(usable_cores(), usable_bytes() // WORKER_BYTES))


def engine_threads(workers: int) -> list[str]:
    """OMP_NUM_THREADS=..., unless it is set: one worker's share of the cores for the network.

    More than one engine thread per core would only make the threads wait for each other.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return []
    return [f"OMP_NUM_THREADS={max(1, usable_cores() // workers)}"]


def positive_integer(name: str, default: int) -> int:
    """Read a positive integer from the environment variable ``name``.

    Raises:
        SystemExit: the variable contains something else.
    """
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise SystemExit(f"{name}: expected a whole number from 1, got {text!r}.")
    return int(text)


def _limits(name: str, cgroups: Path, own: Path) -> list[str]:
    """The limits (cgroup v2) of this process's cgroup and its parents."""
    path = next((line[3:] for line in _read(own).splitlines() if line.startswith("0::")), "/")
    group = cgroups / path.lstrip("/")
    folders = [folder for folder in (group, *group.parents) if folder.is_relative_to(cgroups)]
    return [text for folder in folders if (text := _read(folder / name))]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
