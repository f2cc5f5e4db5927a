"""Common behaviour of all commands: fast ``--help``, one-line error messages, and exit codes."""

import os
import re
import subprocess
import sys

import pytest
from serving import ROOT

from lens.artifact import InvalidModel
from training import cli

COMMANDS = ("prepare", "train", "recalibrate", "tune", "evaluate", "score", "reproduce")
# To import one takes from 0.3 s of CPU (joblib) to 6 s (Keras).
SLOW_PACKAGES = {
    *("distributed", "jax", "joblib", "keras", "matplotlib", "openvino", "optuna"),
    *("scipy", "sklearn", "tensorflow", "tf_keras", "torch"),
}


def test_a_command_in_a_model_card_names_no_folder_of_the_machine() -> None:
    given = ["/home/ann/models/a.h5", "--out", "new models/b.h5", "--manifest", "/data/m.csv"]
    expected = "python -m training.recalibrate a.h5 --out 'new models/b.h5' --manifest m.csv"
    assert cli.command_line("recalibrate", given) == expected


def run_failing(error: BaseException) -> int:
    def action() -> None:
        raise error

    return cli.run("train", action, stopped="use --resume")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (cli.CommandError("no photos"), 1, "train: no photos\n"),
        (cli.CommandError("no photos,\nno table"), 1, "train: no photos, no table\n"),
        (cli.UsageError("no such recipe"), 2, "train: no such recipe\n"),
        (InvalidModel("m.h5: no network"), 1, "train: m.h5: no network\n"),
        (FileNotFoundError(2, "No such file", "a"), 1, "train: [Errno 2] No such file: 'a'\n"),
        (KeyboardInterrupt(), 130, "\ntrain: stopped; use --resume\n"),
    ],
)
def test_an_expected_error_is_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_failing(error) == code
    assert capsys.readouterr() == ("", line)


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_failing(ZeroDivisionError())


def test_the_exit_code_is_that_of_the_action_or_0() -> None:
    assert cli.run("train", lambda: None, stopped="") == 0
    assert cli.run("train", lambda: 1, stopped="") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["--no-such-option"]])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_a_wrong_option_import_no_slow_package(name: str, arguments: list[str]) -> None:
    # Not the time is tested, because that depends on the machine and on what else runs there.
    command = [sys.executable, "-X", "importtime", "-m", f"training.{name}", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == (0 if arguments == ["--help"] else 2)
    assert "usage: python -m training." in result.stdout + result.stderr
    modules = re.findall(r"^import time: .*\| *(\S+)$", result.stderr, re.MULTILINE)
    assert "training.cli" in modules
    assert SLOW_PACKAGES.isdisjoint(module.partition(".")[0] for module in modules)


def test_tensorflows_log_output_is_hidden() -> None:
    code = (
        "from training import cli; cli.load_keras(); import keras\n"
        "keras.ops.add(keras.ops.ones(2), 1); print(keras.backend.backend())"
    )
    environment = {n: v for n, v in os.environ.items() if n != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("tensorflow\n", "")


def test_the_output_of_a_failing_import_is_shown() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests/no-such-folder'); sys.modules['keras'] = None\n"
        "from training import cli; cli.load_keras()"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "ModuleNotFoundError" in result.stderr
