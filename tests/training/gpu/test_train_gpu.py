"""``training.train_gpu``: phases, continuing after a kill, the written models, and ``--pack``."""

import csv
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import painted_set
import painter
import pytest
from serving import ROOT

from lens import loader
from training import train_gpu
from training.datasets.manifest import Row, read_manifest, split_hashes
from training.fit.sampling import CLINICAL_EMPHASIS, sampling_weights
from training.fit.splits import read_splits
from training.gpu.pack import pack

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted_set.write(tmp_path_factory.mktemp("data"), lesions=12)


def start(manifest: Path, out: Path) -> subprocess.Popen:
    options = ("--manifest", manifest, "--out", out, "--recipe", "trial", "--minutes", "0.01")
    return subprocess.Popen(
        [sys.executable, "-m", "training.train_gpu", *map(str, options)],
        cwd=ROOT,
        # One thread, because several can be a hundred times slower on a busy machine.
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_killed_run_is_continued_and_writes_two_models(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(manifest, out)
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("EfficientNet-Lite0: "):
            while not (out / "efficientnet_lite0.pt").exists():
                assert process.poll() is None, printed
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    first = (out / "efficientnet_lite0.pt").read_bytes()
    assert not (out / "cnn7.h5").exists()

    process = start(manifest, out)
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert "efficientnet_lite0: finished before" in printed
    assert (out / "efficientnet_lite0.pt").read_bytes() == first
    assert "cnn7: validation AUC" in printed
    assert f"python -m training.recalibrate {out}/cnn7.h5" in printed
    photo = painter.lesion(0, size=500)[None].astype(np.float32)
    for name in ("cnn7", "efficientnet_lite0"):
        model, card = loader.load(out / f"{name}.h5")
        assert card.name == name
        assert not card.calibrated
        assert card.views == 8
        assert card.split_hashes == split_hashes(read_manifest(manifest))
        assert card.training_data["images_and_malignant"]["painted"]["train"] == [8, 4]
        outputs = model.predict_on_batch(photo)
        assert all(0 < outputs[output][0, 0] < 1 for output in ("malignant", "lesion", "kind"))


def test_the_folder_of_another_run_is_not_changed(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "run.json"
    record.write_text('{"seed": 1}')
    command = ["--manifest", str(manifest), "--out", str(tmp_path), "--recipe", "trial"]
    assert train_gpu.main(command) == 2
    assert "contains a run with another" in capsys.readouterr().err
    assert record.read_text() == '{"seed": 1}'


def test_a_run_is_not_continued_with_other_labels_or_another_order(manifest: Path) -> None:
    from training.gpu.run import describe

    options = train_gpu.parse(["--manifest", str(manifest), "--out", "a", "--recipe", "trial"])
    splits = read_splits(manifest)
    first, *others = splits.train
    changed = {
        "diagnosis": [dataclasses.replace(first, diagnosis="bcc"), *others],
        "kind": [dataclasses.replace(first, kind="dermoscopic"), *others],
        "order": [*others, first],
    }
    described = describe(options, splits)
    assert describe(options, splits) == described
    for change, rows in changed.items():
        assert describe(options, dataclasses.replace(splits, train=rows)) != described, change


@pytest.mark.parametrize("arguments", [[], ["--out", "a", "--pack", "b"], ["--minutes", "0"]])
def test_wrong_arguments_are_rejected(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        train_gpu.main(arguments)
    assert exit_info.value.code == 2


def test_packed_photos_are_small_copies_in_the_same_splits(manifest: Path, tmp_path: Path) -> None:
    others = [{"path": "sea.jpg", "source": "photos", "malignant": 0, "split": "train"}]
    (manifest.parent / "sea.jpg").write_bytes(painter.encoded(painter.sea()))
    not_lesion = manifest.with_name("not_lesion.csv")
    with not_lesion.open("w", newline="") as file:
        table = csv.DictWriter(file, ("path", "source", "diagnosis", "malignant", "group", "split"))
        table.writeheader()
        table.writerows(others)
    try:
        size = pack(manifest, tmp_path / "packed")
    finally:
        not_lesion.unlink()
    packed = read_manifest(tmp_path / "packed" / "manifest.csv")
    original = read_manifest(manifest)
    assert split_hashes(packed) == split_hashes(original)
    from training.fit.image_cache import decode_row

    copied_bytes = 0
    for before, after in zip(original, packed, strict=True):
        assert (before.source, before.kind, before.malignant) == (
            after.source,
            after.kind,
            after.malignant,
        )
        if before.split == "test":
            assert not Path(after.path).exists()
            continue
        copied_bytes += Path(after.path).stat().st_size
        difference = decode_row(after).astype(float) - decode_row(before)
        assert abs(difference).mean() < 5
    (sea,) = read_manifest(tmp_path / "packed" / "not_lesion.csv")
    assert size == copied_bytes + Path(sea.path).stat().st_size


def test_packing_into_a_folder_that_is_not_empty_is_rejected(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.txt").write_text("other")
    assert train_gpu.main(["--manifest", str(manifest), "--pack", str(tmp_path)]) == 2
    assert "expected a new or an empty folder" in capsys.readouterr().err


def test_clinical_photos_and_melanomas_are_drawn_more_often() -> None:
    def row(source: str, kind: str, diagnosis: str) -> Row:
        return Row("", source, diagnosis, int(diagnosis != "nevus"), "", "train", kind)

    parts = [("one", "clinical"), ("one", "dermoscopic"), ("melanoma10k", "dermoscopic")]
    rows = [row(*part, name) for part in parts for name in ("nevus", "melanoma", "bcc", "nevus")]
    weights = sampling_weights(rows, CLINICAL_EMPHASIS).reshape(3, 4)
    clinical, dermoscopic, melanoma10k = weights.sum(1)
    assert clinical / dermoscopic == pytest.approx(1.6)
    assert melanoma10k / dermoscopic == pytest.approx(0.6)
    assert weights[:, 1] / weights[:, 2] == pytest.approx(1.6)
    assert weights.sum() == pytest.approx(1)
