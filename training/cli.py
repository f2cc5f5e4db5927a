"""Shared by the commands: expected errors, exit codes, and arguments."""

import argparse
import importlib
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class CommandError(Exception):
    """An expected error, explained to the user by its message. Any other exception is a bug."""

    exit_code = 1


class UsageError(CommandError):
    """The command line asks for something impossible."""

    exit_code = 2


def run(name: str, action: Callable[[], int | None], *, stopped: str) -> int:
    """Run a command and return its exit code.

    Args:
        name: the command's name, such as ``train``.
        action: what the command does; it returns an exit code, or None for success.
        stopped: what to tell a user who pressed Ctrl-C, such as how to continue.

    Returns:
        0 or the action's own code; 1 with one line on stderr for an expected error, 2 for a usage
        error, 130 for Ctrl-C.
    """
    try:
        return action() or 0
    except KeyboardInterrupt:
        print(f"\n{name}: stopped; {stopped}", file=sys.stderr)
        return 130
    except Exception as error:
        if not isinstance(error, _expected()):
            raise
        print(f"{name}: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return getattr(error, "exit_code", 1)


def _expected() -> tuple[type[Exception], ...]:
    """The errors that a user can fix. Imports at the top of the file would slow down ``--help``."""
    from lens.artifact import InvalidModel
    from lens.engine import EngineError

    return CommandError, InvalidModel, EngineError, OSError


def load_keras(network: str = "") -> None:
    """Import Keras and its backend without log output, with the fastest kernels for the network.

    TensorFlow writes to file descriptor 2 during its import, whatever its log level. By default it
    uses oneDNN's kernels only on processors with AVX-512.

    Args:
        network: the network to train; oneDNN's kernels slow down only cnn_v3 (docs/experiments.md).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0" if network == "cnn_v3" else "1")
    with _hidden_stderr():
        importlib.import_module("keras")
    from absl import logging

    # Keras warns at each save that the .h5 format is legacy.
    logging.set_verbosity(logging.ERROR)


@contextmanager
def _hidden_stderr() -> Iterator[None]:
    """Capture what is written to file descriptor 2, and show it only if the block fails."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            hidden.seek(0)
            os.write(terminal, hidden.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)


def command_line(name: str, arguments: list[str] | None, *, without: str = "") -> str:
    """The command line of this call for a model card, without the option ``without``."""
    given = sys.argv[1:] if arguments is None else arguments
    kept = [argument for argument in given if argument != without]
    return without_folders(shlex.join(["python", "-m", f"training.{name}", *kept]))


def without_folders(command: str) -> str:
    """Shorten the absolute paths in a command to file names.

    Model cards are published, and must not reveal the folders of the machine that trained.
    """
    arguments = [
        Path(part).name if Path(part).is_absolute() else part for part in shlex.split(command)
    ]
    return shlex.join(arguments)


def positive_int(text: str) -> int:
    """Parse a whole number of at least 1, for ``type=`` of an argument.

    Raises:
        argparse.ArgumentTypeError: the text is anything else.
    """
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def add_manifest(parser: argparse.ArgumentParser) -> None:
    """Add ``--manifest FILE``."""
    parser.add_argument(
        "--manifest",
        type=Path,
        default=Path("data/manifest.csv"),
        metavar="FILE",
        help="written by training.prepare (default data/manifest.csv)",
    )


def add_seed(parser: argparse.ArgumentParser, use: str) -> None:
    """Add ``--seed N``; ``use`` says what the seed is for."""
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help=f"seed of {use} (default 0)"
    )
