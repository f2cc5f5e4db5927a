"""A small set of painted lesions with its manifest, and a quick training run on it."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import painter
import pytest
from serving import ROOT

from training.datasets.manifest import REQUIRED_COLUMNS

# Two stages of small images, with two steps per epoch. How well it learns does not matter.
QUICK = (
    *("--set", "stages.0.share=0.5", "--set", "stages.0.size=64", "--set", "stages.0.batch=8"),
    *("--set", "stages.1.share=0.5", "--set", "stages.1.size=96", "--set", "stages.1.batch=8"),
    *("--set", "images_per_epoch=16"),
)


def write(folder: Path, lesions: int = 48) -> Path:
    """Paint lesions, half of them malignant and two thirds for training; return the manifest."""
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


def train(*arguments: str, **variables: str) -> subprocess.Popen:
    """Start ``training.train`` with QUICK and further environment variables."""
    return subprocess.Popen(
        [sys.executable, "-m", "training.train", *QUICK, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen, line: str) -> str:
    """Read what training prints until a line starts with ``line``; return all that was read."""
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
