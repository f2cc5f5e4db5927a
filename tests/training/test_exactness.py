"""The same seed gives bit-identical weights, even if the run is killed and resumed."""

import csv
import signal
import subprocess
from pathlib import Path

import numpy as np
import painted_set
from serving import wait_until

ONE_THREAD = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1") | {
    "OMP_NUM_THREADS": "1",
    "KERAS_BACKEND": "tensorflow",
}


def train(manifest: Path, out: Path, *more: str, **variables: str) -> subprocess.Popen:
    """Start to train four epochs on one thread."""
    arguments = ("--manifest", str(manifest), "--out", str(out), "--epochs", "4", *more)
    return painted_set.train(*arguments, **ONE_THREAD, **variables)


def train_all_epochs(manifest: Path, out: Path, *more: str) -> str:
    """Train four epochs, and kill the run before it calibrates; return what it printed."""
    process = train(manifest, out, *more)
    printed = painted_set.wait_for(process, "epoch 4: validation")
    # The epoch is logged just after the line is printed.
    wait_until(lambda: len(epochs_logged(out)) == 4)
    painted_set.kill(process)
    return printed


def epochs_logged(out: Path) -> list[str]:
    with (out.with_suffix(".run") / "log.csv").open(newline="") as file:
        return [row["epoch"] for row in csv.DictReader(file)]


def test_a_killed_and_resumed_run_has_the_same_weights_as_an_uninterrupted_run(
    tmp_path: Path,
) -> None:
    manifest = painted_set.write(tmp_path)
    uninterrupted, killed = tmp_path / "uninterrupted.h5", tmp_path / "killed.h5"
    printed = train_all_epochs(manifest, uninterrupted)
    # Kill it between the last step of an epoch and its checkpoint, just before the next stage.
    process = train(manifest, killed, KILLED_AT="epoch 2 of 4")
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    for name in ("average-2.npz", "last-2.weights.h5"):  # As if killed while writing them.
        (killed.with_suffix(".run") / name).write_bytes(b"half a file")
    train_all_epochs(manifest, killed, "--resume")
    for name in ("average-4.npz", "best.npz"):
        with (
            np.load(uninterrupted.with_suffix(".run") / name) as one,
            np.load(killed.with_suffix(".run") / name) as other,
        ):
            assert one.files == other.files
            for key in one.files:
                np.testing.assert_array_equal(one[key], other[key])
    assert "images/s" in printed
    assert " left" in printed
    assert epochs_logged(killed) == ["0", "1", "2", "3"]
