"""A model file is replaced by a calibrated one, whenever calibration is killed."""

import os
import subprocess
import sys
from pathlib import Path

from serving import ROOT


def test_a_calibration_killed_at_any_step_leaves_the_old_model_or_the_finished_one(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "tests/calibration_killed.py", str(tmp_path / "m.h5")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    states = done.stdout.split("\n")[:-1]
    replaced = states.index("new")
    assert replaced > 8
    assert set(states[:replaced]) == {"old"}
    assert set(states[replaced:]) == {"new"}
