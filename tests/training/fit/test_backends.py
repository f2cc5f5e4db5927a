"""Prediction on every Keras backend, and training on several devices and hosts."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import painted_set
import painter
import pytest
from serving import ROOT, free_port

from lens import artifact

PREDICT = """
import sys
import numpy as np
from lens import loader

model, _ = loader.load(sys.argv[1])
outputs = model.predict_on_batch(np.load(sys.argv[2]).astype(np.float32))
np.savez(sys.argv[3], **outputs)
"""
needs_jax = pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="JAX is not installed")


def predictions_of(backend: str, folder: Path) -> dict[str, np.ndarray]:
    """The outputs of the served network for two photos."""
    photos, out = folder / "photos.npy", folder / f"{backend}.npz"
    np.save(photos, np.stack([painter.lesion(seed, size=500) for seed in range(2)]))
    command = [sys.executable, "-c", PREDICT, "models/melanoma.h5", photos, out]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {"KERAS_BACKEND": backend})
    return dict(np.load(out))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return predictions_of("tensorflow", tmp_path_factory.mktemp("tensorflow"))


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_backend_predicts_the_same_as_tensorflow(
    backend: str, expected: dict[str, np.ndarray], tmp_path: Path
) -> None:
    pytest.importorskip(backend)
    actual = predictions_of(backend, tmp_path)
    assert actual.keys() == expected.keys()
    for output, values in expected.items():
        np.testing.assert_allclose(actual[output], values, atol=1e-4, err_msg=output)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted_set.write(tmp_path_factory.mktemp("data"))


def start(manifest: Path, out: Path, devices: int = 1, **variables: str) -> subprocess.Popen:
    """Start training for one epoch on JAX, on this number of devices.

    XLA does not optimise: here that would take longer than the training. In bfloat16, which only
    some processors support, the loss depends on the number of devices (by 2e-5).
    """
    arguments = ("--manifest", str(manifest), "--out", str(out), "--epochs", "1")
    flags = "--xla_backend_optimization_level=0 --xla_force_host_platform_device_count="
    variables |= {"KERAS_BACKEND": "jax", "XLA_FLAGS": f"{flags}{devices}", "IN_FLOAT32": "1"}
    return painted_set.train(*arguments, **variables)


def first_epoch(process: subprocess.Popen, run: Path) -> dict[str, float]:
    """Wait for the first epoch, kill the process, and return the metrics of that epoch."""
    painted_set.wait_for(process, "epoch 1: validation")
    painted_set.kill(process)
    return json.loads((run / "state.json").read_text())[0]


@pytest.fixture(scope="module")
def one_device(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    out = tmp_path_factory.mktemp("one") / "m.h5"
    return first_epoch(start(manifest, out), out.with_suffix(".run"))


@needs_jax
def test_two_devices_give_the_same_metrics_as_one(
    manifest: Path, one_device: dict[str, float], tmp_path: Path
) -> None:
    two = start(manifest, tmp_path / "m.h5", devices=2)
    assert first_epoch(two, tmp_path / "m.run") == pytest.approx(one_device, abs=1e-4)


@needs_jax
def test_two_hosts_give_the_same_metrics_as_one_and_write_the_same_weights(
    manifest: Path, one_device: dict[str, float], tmp_path: Path
) -> None:
    address = f"127.0.0.1:{free_port()}"
    hosts = [
        start(
            manifest,
            tmp_path / "m.h5",
            KERAS_DISTRIBUTION_JOB_ADDRESSES=address,
            KERAS_DISTRIBUTION_NUM_PROCESSES="2",
            KERAS_DISTRIBUTION_PROCESS_ID=number,
            XDG_CACHE_HOME=str(tmp_path),
        )
        for number in "01"
    ]
    for host in hosts:
        printed, errors = host.communicate()
        assert host.returncode == 0, printed + errors
    history = json.loads((tmp_path / "m.run" / "state.json").read_text())
    assert history == [pytest.approx(one_device, abs=1e-4)]
    cards = [artifact.read_card(tmp_path / name) for name in ("m.h5", "m.host1.h5")]
    assert cards[0].calibrated
    thresholds = [card.point(None).threshold for card in cards]
    assert thresholds[0] == pytest.approx(thresholds[1])
    with (
        np.load(tmp_path / "m.run" / "best.npz") as one,
        np.load(tmp_path / "m.host1.run" / "best.npz") as other,
    ):
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])


@needs_jax
def test_a_batch_size_that_devices_cannot_divide_is_rejected_before_training(
    manifest: Path, tmp_path: Path
) -> None:
    process = start(manifest, tmp_path / "m.h5", devices=3)
    _, error = process.communicate()
    assert process.returncode == 1
    assert "batches that 3 devices can divide evenly, got 8 images" in error
