"""The cache of decoded images, on systems without fallocate, with a full disk, or without locks."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import painter
import pytest
from serving import ROOT, small_disk

from training.datasets.manifest import REQUIRED_COLUMNS, read_manifest
from training.fit import image_cache


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """The manifest of twelve painted lesions of 128 px, four in each split."""
    folder = tmp_path / "data"
    folder.mkdir()
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(REQUIRED_COLUMNS)
        for index in range(12):
            name, malignant = f"{index}.jpg", index % 2
            colour = painter.DARK if malignant else painter.PALE
            (folder / name).write_bytes(painter.encoded(painter.lesion(index, colour, 128)))
            diagnosis = "melanoma" if malignant else "nevus"
            split = ("train", "val", "test")[index // 2 % 3]
            table.writerow([name, "painted", diagnosis, malignant, f"g{index}", split])
    return folder / "manifest.csv"


@pytest.fixture
def no_fallocate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")


@pytest.mark.usefixtures("no_fallocate")
def test_images_are_decoded_on_a_system_without_fallocate(manifest: Path, tmp_path: Path) -> None:
    images = image_cache.open_images(read_manifest(manifest), tmp_path)
    assert images.shape == (12, 500, 500, 3)
    assert images.any()


@pytest.mark.usefixtures("no_fallocate")
def test_a_full_disk_is_reported_on_a_system_without_fallocate(
    manifest: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", 4_000_000) as folder:
        with pytest.raises(image_cache.DiskFull, match="expected 9 MB of disk space"):
            image_cache.open_images(read_manifest(manifest), folder)
        assert not list(folder.glob("*.npy"))


def test_training_works_on_a_file_system_without_locks(manifest: Path, without_locks: Path) -> None:
    folder = manifest.parent
    options = ["--network", "cnn_v1", "--recipe", "paper", "--epochs", "1"]
    files = ["--manifest", str(manifest), "--out", str(folder / "model.h5")]
    no_locks = {"LD_PRELOAD": str(without_locks), "NOLOCK": str(folder), "NOLOCK_ERRNO": "38"}
    result = subprocess.run(
        [sys.executable, "-m", "training.train", *files, *options],
        cwd=ROOT,
        env={**os.environ, **no_locks},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "without locks" in result.stderr
    assert (folder / "model.h5").exists()
