"""Why a process was ended by a signal, in words; it imports nothing heavy."""

import signal

_NO_AVX = (
    "this processor lacks instructions that a library needs; TensorFlow needs AVX, "
    "which emulators and some virtual machines do not have"
)
_MEANING = {
    "SIGILL": _NO_AVX,
    "SIGABRT": "a library gave up, as TensorFlow does on processors without AVX",
    "SIGKILL": "most likely the system or the container ran out of memory",
}


def by_signal(number: int) -> str:
    """A signal's name and what it means here: "SIGKILL: most likely ..."."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name}: {_MEANING.get(name, 'a library crashed')}"
