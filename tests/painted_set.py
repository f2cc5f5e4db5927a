"""A small data set of painted lesions with a manifest, and training on it in a few seconds."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import painter
import pytest
from serving import ROOT

from training.datasets.manifest import REQUIRED_COLUMNS

# Two stages of two steps per epoch; tests do not depend on how well the network learns.
QUICK = (
    *("--set", "stages.0.share=0.5", "--set", "stages.0.size=64", "--set", "stages.0.batch=8"),
    *("--set", "stages.1.share=0.5", "--set", "stages.1.size=96", "--set", "stages.1.batch=8"),
    *("--set", "images_per_epoch=16"),
)


def write(folder: Path, lesions: int = 48) -> Path:
    """Paint lesions, half of them malignant, two thirds for training; return their manifest."""
    rows = []
    for index in range(lesions):
        malignant = index % 2
        path = folder / f"lesion{index}.jpg"
        colour = painter.DARK if malignant else painter.PALE
        path.write_bytes(painter.encoded(painter.lesion(index, colour, 256)))
        split = ("train", "train", "train", "train", "val", "test")[index // 2 % 6]
        diagnosis = "melanoma" if malignant else "nevus"
        rows.append([path.name, "painted", diagnosis, malignant, f"g{index}", split])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([REQUIRED_COLUMNS, *rows])
    return folder / "manifest.csv"


# training.train, with few generated images for refitting: the usual 1,100 take a minute. It kills
# itself when it prints a line that starts with KILLED_AT, as a killer outside might come too late.
# With IN_FLOAT32 it computes in float32 on every processor.
PROGRAM = """
import os, signal, sys
from training import cli, train
cli.load_keras()
from training.fit import callbacks, device, last_layers
last_layers.PAINTED_SAMPLES = last_layers.SKIN_CROPS = 8
def print_or_die(text):
    print(text)
    if "KILLED_AT" in os.environ and text.startswith(os.environ["KILLED_AT"]):
        os.kill(os.getpid(), signal.SIGKILL)
callbacks.print = print_or_die
if "IN_FLOAT32" in os.environ:
    device._has_bfloat16 = lambda: False
sys.exit(train.main(sys.argv[1:]))
"""


def train(*arguments: str, **variables: str) -> subprocess.Popen:
    """Start ``training.train`` with the QUICK options and additional environment variables."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *QUICK, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen, line: str) -> str:
    """Read the output until a line that starts with ``line``; return all of it."""
    printed = ""
    for text in process.stdout:
        printed += text
        if text.startswith(line):
            return printed
    pytest.fail(printed + process.stderr.read())


def kill(*processes: subprocess.Popen) -> None:
    """Kill processes with SIGKILL, so that no handler runs."""
    for process in processes:
        process.kill()
        process.communicate()
