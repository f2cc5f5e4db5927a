"""The model file: its card, and the files that must be refused."""

import dataclasses
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from serving import ROOT

from lens import artifact, loader
from lens.artifact import InvalidModel
from lens.card import Card, OperatingPoint, for_all_kinds

REQUIREMENTS = ROOT / "requirements.txt"
SHIPPED = sorted(ROOT.glob("models/**/*.h5"))
POINT = OperatingPoint(threshold=0.31, threshold_rule="a test's", temperature=1.2, offset=-0.4)
CARD = Card(
    name="small",
    operating_points=for_all_kinds(POINT),
    views=8,
    margins=(0.6, 0.2),
    calibrated=True,
)


def small_network() -> keras.Model:
    pixels = keras.Input((500, 500, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(pixels))
    malignant = layers.Dense(1, activation="sigmoid", name="malignant")(pooled)
    return keras.Model(pixels, {"malignant": malignant, "lesion": malignant})


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, 500, 500, 3)).astype(np.float32)


def test_a_saved_model_loads_with_its_card_and_gives_the_same_outputs(
    tmp_path: Path, image: np.ndarray
) -> None:
    model = small_network()
    artifact.save(model, tmp_path / "m.h5", CARD)
    loaded, card = loader.load(tmp_path / "m.h5")
    assert card == CARD == artifact.read_card(tmp_path / "m.h5")
    assert np.array_equal(loaded(image)["malignant"], model(image)["malignant"])


def test_writing_a_card_does_not_change_the_weights(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "m.h5"
    artifact.save(small_network(), path, CARD)
    before = loader.load(path)[0](image)["malignant"]
    changed = dataclasses.replace(CARD, created="2026-11-26")
    artifact.write_card(path, changed)
    loaded, card = loader.load(path)
    assert card == changed
    assert np.array_equal(loaded(image)["malignant"], before)
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.h5"]


def test_a_card_with_a_single_threshold_is_read_as_an_operating_point_for_each_kind(
    tmp_path: Path,
) -> None:
    save_as_version_0_1(tmp_path / "m.h5")
    assert artifact.read_card(tmp_path / "m.h5") == CARD


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_the_shipped_models_have_calibrated_cards(path: Path) -> None:
    card = artifact.read_card(path)
    assert card.calibrated
    assert card.point(None) != OperatingPoint()


def missing(path: Path) -> None:
    pass


def text(path: Path) -> None:
    path.write_text("not a model")


def weights_only(path: Path) -> None:
    small_network().save_weights(path.with_name("x.weights.h5"))
    path.with_name("x.weights.h5").rename(path)


def hdf5_without_a_network(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["table"] = np.arange(10)


def truncated(path: Path) -> None:
    small_network().save(path)
    path.write_bytes(path.read_bytes()[:-2000])


def keras_format(path: Path) -> None:
    small_network().save(path.with_suffix(".keras"))
    path.with_suffix(".keras").rename(path)


def saved_model(path: Path) -> None:
    small_network().export(path, verbose=False)


def without_a_card(path: Path) -> None:
    small_network().save(path)


def with_a_damaged_architecture(path: Path) -> None:
    small_network().save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = "{"


def with_code_outside_keras(path: Path) -> None:
    small_network().save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        odd = {"class_name": "system", "module": "os", "config": {}, "registered_name": None}
        config["config"]["layers"][1]["config"]["kernel_initializer"] = odd
        file.attrs["model_config"] = json.dumps(config)


def with_a_broken_card(path: Path) -> None:
    artifact.save(small_network(), path, CARD)
    with h5py.File(path, "r+") as file:
        file.attrs["molelens_card"] = "{"


def change_card(path: Path, change: Callable[[dict], None]) -> None:
    """Save a model and change the JSON of its card."""
    artifact.save(small_network(), path, CARD)
    with h5py.File(path, "r+") as file:
        card = json.loads(file.attrs["molelens_card"])
        change(card)
        file.attrs["molelens_card"] = json.dumps(card)


def with_card_fields(**fields: object) -> Callable[[Path], None]:
    return lambda path: change_card(path, lambda card: card.update(fields))


def with_clinical_point(**fields: object) -> Callable[[Path], None]:
    def change(card: dict) -> None:
        card["operating_points"]["clinical"].update(fields)

    return lambda path: change_card(path, change)


def without_a_dermoscopic_point(path: Path) -> None:
    change_card(path, lambda card: card["operating_points"].pop("dermoscopic"))


def save_as_version_0_1(path: Path) -> None:
    """Save a model as version 0.1 did: one threshold and temperature for all kinds of photo."""
    change_card(path, lambda card: card.update(card.pop("operating_points")["clinical"]))


@pytest.mark.filterwarnings("ignore:You are saving")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing, "no such file"),
        (text, "not an HDF5 file"),
        (weights_only, "holds no network"),
        (hdf5_without_a_network, "holds no network"),
        (truncated, "not an HDF5 file"),
        (keras_format, r"a zip file, perhaps Keras's \.keras format"),
        (saved_model, "a folder, perhaps a TensorFlow SavedModel"),
        (without_a_card, "expected a model made by"),
        (with_a_damaged_architecture, "description of the network is damaged"),
        (with_code_outside_keras, r"code outside Keras \(os\)"),
        (with_a_broken_card, "card inside cannot be used"),
        (with_card_fields(operating_points=3), "it is damaged"),
        (with_card_fields(operating_points={}), "an operating point for each of"),
        (without_a_dermoscopic_point, "an operating point for each of"),
        (with_clinical_point(threshold=2), "threshold between 0 and 1"),
        (with_clinical_point(threshold=math.nan), "threshold between 0 and 1"),
        (with_clinical_point(threshold="0.5"), "it is damaged"),
        (with_clinical_point(temperature=math.nan), "positive temperature"),
        (with_clinical_point(temperature=math.inf), "positive temperature"),
        (with_clinical_point(offset=math.inf), "finite offset"),
        (with_card_fields(labels=["malignant", "benign"]), "expected the labels"),
        (with_card_fields(labels=["naevus", "melanoma"]), "expected the labels"),
        (with_clinical_point(lesion_threshold=-1), "a lesion_threshold between 0 and 1"),
        (with_clinical_point(lesion_threshold=math.nan), "a lesion_threshold between 0 and"),
        (with_card_fields(views=3), "1 or 8 views, got 3"),
        (with_card_fields(views=1), r"got 1 views and the margins \(0.6, 0.2\)"),
        (with_card_fields(margins=[0.5]), "two margins of at least 0"),
        (with_card_fields(margins=[math.nan, 0.2]), "two margins of at least 0"),
        (with_card_fields(margins=[0.6, -0.2]), "two margins of at least 0"),
    ],
)
def test_each_unusable_file_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "m.h5"
    make(path)
    with pytest.raises(InvalidModel, match=words) as error:
        loader.load(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_operating_points_by_kind_need_a_network_with_an_output_for_the_kind(
    tmp_path: Path,
) -> None:
    with_clinical_point(threshold=0.4)(tmp_path / "m.h5")
    with pytest.raises(InvalidModel, match="no output 'kind'"):
        loader.load_network(tmp_path / "m.h5")


def test_the_pinned_keras_does_not_run_code_in_an_h5() -> None:
    """CVE-2025-9905: safe_mode was ignored for ``.h5`` before 3.11.3."""
    pinned = re.search(r"^keras==(\d+)\.(\d+)\.(\d+) ", REQUIREMENTS.read_text(), re.M)
    assert tuple(map(int, pinned.groups())) >= (3, 11, 3)
