"""Every command answers in the same way: help at once, one line for a failure, its exit code."""

import os
import resource
import subprocess
import sys

import pytest
from serving import ROOT

from lens.artifact import InvalidModel
from training import cli

COMMANDS = ("train", "recalibrate", "tune", "score", "reproduce")


def failing(error: BaseException) -> int:
    def action() -> None:
        raise error

    return cli.run("cook", action, stopped="the soup is cold")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (cli.CommandError("no salt"), 1, "cook: no salt\n"),
        (cli.CommandError("no salt,\nno pepper"), 1, "cook: no salt, no pepper\n"),
        (cli.UsageError("no such dish"), 2, "cook: no such dish\n"),
        (InvalidModel("m.h5: no network"), 1, "cook: m.h5: no network\n"),
        (FileNotFoundError(2, "No such file", "pan"), 1, "cook: [Errno 2] No such file: 'pan'\n"),
        (KeyboardInterrupt(), 130, "\ncook: stopped; the soup is cold\n"),
    ],
)
def test_an_expected_failure_is_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(error) == code
    assert capsys.readouterr() == ("", line)


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


def test_an_action_ends_in_success_or_with_its_own_code() -> None:
    assert cli.run("cook", lambda: None, stopped="") == 0
    assert cli.run("cook", lambda: 1, stopped="") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["--no-such-option"]])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_a_wrong_option_take_less_than_a_second(name: str, arguments: list[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", f"training.{name}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == (0 if arguments == ["--help"] else 2)
    assert "usage: python -m training." in done.stdout + done.stderr
    # Of the processor, not of the clock: other tests may run beside this one.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_nothing_that_tensorflow_logs_reaches_the_terminal() -> None:
    code = (
        "from training import cli; cli.load_keras(); import keras\n"
        "keras.ops.add(keras.ops.ones(2), 1); print(keras.backend.backend())"
    )
    environment = {n: v for n, v in os.environ.items() if n != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("tensorflow\n", "")


def test_what_an_import_that_fails_wrote_is_shown() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests/no-such-folder'); sys.modules['keras'] = None\n"
        "from training import cli; cli.load_keras()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "ModuleNotFoundError" in done.stderr
