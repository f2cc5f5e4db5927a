"""Killing calibration at any step leaves either the old model file or the complete new one."""

import os
import subprocess
import sys
from pathlib import Path

from serving import ROOT


def test_killing_calibration_at_any_step_leaves_the_old_or_the_new_model_file(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "tests/calibration_killed.py", str(tmp_path / "m.h5")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    states = result.stdout.split("\n")[:-1]
    replaced = states.index("new")
    assert replaced > 8  # Steps before the file is replaced.
    assert set(states[:replaced]) == {"old"}
    assert set(states[replaced:]) == {"new"}
