"""How many cores and how much memory this process may use, and the numbers an operator sets."""

import math
import os
from pathlib import Path

WORKER_BYTES = 256 * 2**20
"""Memory to count for a worker: 120 MB resting, and a 40-megapixel photo while it is decoded."""

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = CGROUPS, own: Path = OWN_GROUP) -> int:
    """Cores this process may use: CPU affinity, cut by quotas of its control groups; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    # "150000 100000" is one and a half core; "max 100000" is no quota.
    quotas = [text.split() for text in _limits("cpu.max", cgroups, own)]
    quotas.append([_read(cgroups / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period")])
    for quota, period in quotas:
        if quota.isdecimal():
            cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def usable_bytes(cgroups: Path = CGROUPS, own: Path = OWN_GROUP) -> int:
    """Memory this process may use: the machine's, cut by limits of its control groups."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [*_limits("memory.max", cgroups, own)]
    limits.append(_read(cgroups / "memory" / "memory.limit_in_bytes"))
    return min([machine, *(int(limit) for limit in limits if limit.isdecimal())])


def default_workers() -> int:
    """One process per core, fewer where memory is short.

    The Python part of a request then holds up nobody else's, and one crash in an image decoder
    ends one process.
    """
    return max(1, min(usable_cores(), usable_bytes() // WORKER_BYTES))


def engine_threads(workers: int) -> list[str]:
    """OMP_NUM_THREADS=..., unless it is set: each worker's share of the cores for the network.

    workers x engine threads = cores. More would only make them wait for each other.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return []
    return [f"OMP_NUM_THREADS={max(1, usable_cores() // workers)}"]


def number_set(name: str, default: int) -> int:
    """The whole number from 1 that the environment variable ``name`` holds.

    Raises:
        SystemExit: it holds something else.
    """
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise SystemExit(f"{name}: expected a whole number from 1, got {text!r}.")
    return int(text)


def _limits(name: str, cgroups: Path, own: Path) -> list[str]:
    """What version 2 says in this process's own group and in every group around it."""
    path = next((line[3:] for line in _read(own).splitlines() if line.startswith("0::")), "/")
    group = cgroups / path.lstrip("/")
    folders = [folder for folder in (group, *group.parents) if folder.is_relative_to(cgroups)]
    return [text for folder in folders if (text := _read(folder / name))]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
