"""Help to run modules of this package in child processes. This module imports nothing large."""

import os
import signal
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent

_LIKELY_CAUSES = {
    "SIGILL": (
        "this processor lacks instructions that a library needs; TensorFlow needs AVX, "
        "which emulators and some virtual machines do not have"
    ),
    "SIGABRT": "a library aborted, as TensorFlow does on processors without AVX",
    "SIGKILL": "most likely the system or the container ran out of memory",
}


def environment(**variables: str) -> dict[str, str]:
    """The environment for ``python -m lens.NAME``, with ``variables`` set as well."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **variables}


def describe_signal(number: int) -> str:
    """The name of the signal that killed a process, and the likely cause."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name}: {_LIKELY_CAUSES.get(name, 'a library crashed')}"
