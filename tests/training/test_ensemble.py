"""``training.ensemble``: the mean of several models, calibrated and served as one model."""

import csv
from pathlib import Path

import keras
import numpy as np
import painter
import pytest

from lens import artifact, loader
from lens.card import Card
from lens.engine import open_engine
from training import ensemble, networks
from training.datasets.manifest import REQUIRED_COLUMNS, read_manifest, split_hashes
from training.fit.ensembles import average

PHOTOS = np.stack([painter.lesion(index, size=500) for index in range(2)])


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of 16 painted lesions, half of them malignant, a quarter in validation."""
    path = tmp_path_factory.mktemp("data") / "manifest.csv"
    rows: list[list[object]] = [list(REQUIRED_COLUMNS)]
    for index in range(16):
        malignant = index % 2
        colour = painter.DARK if malignant else painter.PALE
        photo = path.with_name(f"lesion{index}.jpg")
        photo.write_bytes(painter.encoded(painter.lesion(index, colour, 256)))
        split = ("train", "train", "val", "test")[index // 2 % 4]
        rows.append([photo.name, "painted", "nevus", malignant, f"g{index}", split])
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def network(name: str, seed: int) -> keras.Model:
    """A network with random weights."""
    keras.utils.set_random_seed(seed)
    return networks.build(name)


def write(path: Path, name: str, seed: int, hashes: dict[str, str]) -> Path:
    artifact.save(network(name, seed), path, Card(name, split_hashes=hashes))
    return path


def logits(outputs: dict[str, np.ndarray]) -> np.ndarray:
    p = np.asarray(outputs["malignant"])
    return np.log(p / (1 - p))


@pytest.mark.parametrize("names", [("cnn7", "cnn7"), ("cnn7", "efficientnet_lite0")])
def test_an_ensemble_has_the_mean_logit_and_the_mean_of_the_other_probabilities(
    names: tuple[str, str], tmp_path: Path
) -> None:
    parts = [network(name, seed) for seed, name in enumerate(names)]
    artifact.save(average(parts), tmp_path / "both.h5", Card("ensemble"))
    both, _ = loader.load(tmp_path / "both.h5")
    pixels = PHOTOS.astype(np.float32)
    expected = [part.predict_on_batch(pixels) for part in parts]
    outputs = both.predict_on_batch(pixels)
    mean = np.mean([logits(one) for one in expected], axis=0)
    np.testing.assert_allclose(logits(outputs), mean, atol=1e-4)
    for name in ("lesion", "kind"):
        mean = np.mean([one[name] for one in expected], axis=0)
        np.testing.assert_allclose(outputs[name], mean, atol=1e-5)
    largest = max(one["heat_map"].shape for one in expected)
    assert outputs["heat_map"].shape == largest


def test_the_command_writes_one_calibrated_model_that_the_engine_serves(
    manifest: Path, tmp_path: Path
) -> None:
    hashes = split_hashes(read_manifest(manifest))
    models = [write(tmp_path / f"{seed}.h5", "cnn7", seed, hashes) for seed in range(2)]
    out = tmp_path / "both.h5"
    files = ["--out", str(out), "--manifest", str(manifest)]
    assert ensemble.main([*map(str, models), *files]) == 0
    card = artifact.read_card(out)
    assert (card.name, card.calibrated, card.views) == ("ensemble", True, 8)
    assert card.split_hashes == hashes
    assert card.training_data["images_and_malignant"]["painted"]["train"] == [8, 4]
    parts = [loader.load(path)[0].predict_on_batch(PHOTOS.astype(np.float32)) for path in models]
    served = open_engine(out, "openvino", tmp_path).run(PHOTOS)
    mean = np.mean([logits(one)[:, 0] for one in parts], axis=0)
    np.testing.assert_allclose(served.malignant, 1 / (1 + np.exp(-mean)), atol=0.02)  # bfloat16


def test_models_that_cannot_be_averaged_are_reported_and_no_file_is_written(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path / "good.h5", "cnn7", 0, {})
    keras.utils.set_random_seed(0)
    pixels = keras.Input((500, 500, 3))
    p = keras.layers.Dense(1, "sigmoid")(keras.layers.GlobalAveragePooling2D()(pixels))
    artifact.save(keras.Model(pixels, {"malignant": p}), tmp_path / "single.h5", Card("single"))
    cases = [
        ([good], 2, "expected at least two models to average, got 1"),
        ([good, tmp_path / "nowhere.h5"], 1, "no such file"),
        ([good, tmp_path / "single.h5"], 1, "without the outputs heat_map, kind, lesion"),
    ]
    out = tmp_path / "both.h5"
    for models, status, message in cases:
        files = ["--out", str(out), "--manifest", str(manifest)]
        assert ensemble.main([*map(str, models), *files]) == status
        assert message in capsys.readouterr().err
        assert not out.exists()
