"""``training.evaluate`` with a small model on a painted test split: its report and its files."""

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import icc_files
import keras
import numpy as np
import painter
import pytest
from PIL import Image
from serving import ROOT

from lens import artifact
from lens.card import Card
from lens.engine import KerasEngine
from lens.images import decode
from training.cli import CommandError
from training.datasets.demographics import describe_patients
from training.datasets.manifest import Row
from training.evaluate import main, parse
from training.evaluation import measure, model_card, perturbations

COLUMNS = ("path", "source", "diagnosis", "malignant", "group", "split")


def write_manifest(path: Path, rows: list[tuple[Any, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(rows)


def paint_split(folder: Path) -> Path:
    """Paint dermoscopic and phone photos, and write the tables of their sets and a manifest.

    Malignant lesions are dark, but one is pale, and one is replaced by a blue picture of the sea.
    """
    rows, ham, pad = [], ["image_id,age,sex"], ["img_id,age,gender,fitspatrick"]
    for index in range(12):
        malignant = index % 2
        source = "ham10000" if index < 8 else "pad_ufes"
        # The tiny model misses the pale melanoma (1), and refuses the blue picture (3).
        colour = painter.PALE if index == 1 or not malignant else painter.DARK
        photo = painter.sea(index) if index == 3 else painter.lesion(index, colour, 300)
        path = folder / source / "images" / f"{source}_{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(painter.encoded(photo))
        diagnosis = "melanoma" if malignant else "nevus"
        rows.append((path, source, diagnosis, malignant, f"{source}:{index}", "test"))
        sex = ("female", "male")[index % 3 == 0]
        ham.append(f"{path.stem},{30 if index < 4 else 62},{sex}")
        pad.append(f"{path.name},50,{sex.upper()},{2.0 if index < 11 else ''}")
    rows.append((folder / "never_there.jpg", "ham10000", "nevus", 0, "ham10000:t", "train"))
    (folder / "ham10000" / "HAM10000_metadata.csv").write_text("\n".join(ham))
    (folder / "pad_ufes" / "metadata.csv").write_text("\n".join(pad))
    write_manifest(folder / "manifest.csv", rows)
    others = []
    for index in range(3):
        path = folder / f"sea_{index}.jpg"
        path.write_bytes(painter.encoded(painter.sea(index)))
        others.append((path, "not_lesion", "not_lesion", 0, f"not_lesion:{index}", "test"))
    write_manifest(folder / "not_lesion.csv", others)
    return folder / "manifest.csv"


@dataclass(frozen=True)
class Run:
    model: Path
    before: Card
    output: str
    errors: str
    report: dict[str, Any]


@pytest.fixture(scope="module")
def run(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("evaluate")
    manifest = paint_split(folder)
    model = folder / "models" / "tiny.h5"
    model.parent.mkdir()
    shutil.copy(tiny_model, model)
    before = artifact.read_card(model)
    artifact.write_card(model, before)
    result = subprocess.run(
        [sys.executable, "-m", "training.evaluate", model, "--manifest", manifest, "--subset", "4"],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(tiny_model.parent), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((folder / "models" / "tiny_evaluation" / "figures.json").read_text())
    return Run(model, before, result.stdout, result.stderr, report)


def test_a_third_party_model_is_evaluated_but_not_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "open_engine", KerasEngine)
    model = tmp_path / "theirs.h5"
    pixels = keras.Input((64, 64, 3))
    mean = keras.layers.GlobalAveragePooling2D()(pixels)
    keras.Model(pixels, keras.layers.Dense(1, "sigmoid")(mean)).save(model)
    before = model.read_bytes()
    files = [str(model), "--manifest", str(paint_split(tmp_path / "data")), "--subset", "2"]
    assert main(files) == 0
    assert model.read_bytes() == before
    assert "does not record which images" in (tmp_path / "README.md").read_text()


def test_a_model_that_is_replaced_during_the_evaluation_keeps_its_own_card(run, tmp_path):
    other = tmp_path / "other.h5"
    shutil.copy(run.model, other)
    options = parse([str(other)])
    with pytest.raises(CommandError, match="was replaced while it was evaluated"):
        measure.write(run.report, options, "0" * 64)
    assert other.read_bytes() == run.model.read_bytes()


def test_only_the_test_split_is_read(run):
    # The file of the only row in the train split does not exist.
    assert run.report["test"]["pooled"]["n"] == 12


def test_the_figures_are_given_pooled_and_by_kind_and_by_source(run):
    sizes = {name: (part["n"], part["malignant"]) for name, part in run.report["test"].items()}
    assert sizes == {
        "pooled": (12, 6),
        "clinical": (4, 2),
        "dermoscopic": (8, 4),
        "ham10000": (8, 4),
        "pad_ufes": (4, 2),
    }


def test_figures_by_kind_come_before_those_by_source(run):
    assert list(run.report["test"]) == ["pooled", "clinical", "dermoscopic", "ham10000", "pad_ufes"]


def test_a_source_with_both_kinds_has_a_part_for_each():
    rows = [
        Row("", source, "nevus", 0, "", "test", kind)
        for source, kind in (
            ("milk10k", "clinical"),
            ("milk10k", "dermoscopic"),
            ("own", "dermoscopic"),
        )
    ]
    parts = {name: chosen.tolist() for name, chosen in measure._parts(rows).items()}
    assert parts == {
        "pooled": [True, True, True],
        "clinical": [True, False, False],
        "dermoscopic": [False, True, True],
        "milk10k clinical": [True, False, False],
        "milk10k dermoscopic": [False, True, False],
        "own": [False, False, True],
    }


def test_the_melanomas_found_are_counted_in_each_part(run):
    # Of the dermoscopic melanomas one is missed and one refused; both phone photos are found.
    found = {name: (part["n"], part["found"][0]) for name, part in run.report["melanomas"].items()}
    assert found == {
        "pooled": (6, pytest.approx(4 / 6, abs=1e-4)),
        "clinical": (2, 1),
        "dermoscopic": (4, 0.5),
        "ham10000": (4, 0.5),
        "pad_ufes": (2, 1),
    }


def test_a_refused_melanoma_and_a_missed_one_lower_the_sensitivity(run):
    pooled = run.report["test"]["pooled"]
    assert pooled["right"] == {"benign": [6, 6], "malignant": [4, 6]}
    assert pooled["sensitivity"][0] == pytest.approx(4 / 6, abs=1e-4)
    assert pooled["refused"] == 1
    assert run.report["reasons"] == {"not_a_lesion": 1}


def test_the_correct_verdicts_are_printed_beside_the_papers(run):
    printed = " ".join(run.output.split())  # Removes the padding of the columns.
    assert "| benign | 4 / 4 (100.0 %) | 2 / 2 (100.0 %) | 6 / 6 (100.0 %) | 85.99 % |" in printed
    assert "4 / 6 (66.7 %)" in run.output
    for percent in ("70.38 %", "85.72 %"):
        assert percent in run.output


def test_refusals_are_counted_for_lesions_and_for_other_photographs(run):
    refused = run.report["refused"]
    assert refused["dermoscopic"][0] == pytest.approx(1 / 8)
    assert refused["pad_ufes"][0] == 0
    assert "not_lesion" not in refused
    assert run.report["others_refused"]["not_lesion"][0] == 1


def test_each_change_of_the_photo_is_tested_on_the_subset(run):
    changed = run.report["verdict_changes"]
    assert len(changed) == 8
    assert all(found["photos"] == 4 for found in changed.values())
    # The tiny model averages over the whole photo, so a flip changes nothing.
    assert changed["left-right flip"]["changed"][0] == 0


def test_masking_the_lesion_lowers_the_auc(run):
    assert run.report["lesion_masked"]["pooled"][0] < run.report["test"]["pooled"]["auc"][0]


def test_patients_are_grouped_by_the_traits_in_the_sets_tables(run):
    counts = {
        kind: {value: part["n"] for value, part in values.items()}
        for kind, values in run.report["patients"].items()
    }
    assert counts == {
        "age": {"under 40": 4, "40 to 59": 4, "60 and over": 4},
        "sex": {"female": 8, "male": 4},
        "skin tone": {"Fitzpatrick I-II": 3},
    }


def test_the_threshold_is_the_cards_own(run):
    reported = run.report["model"]["operating_points"]["clinical"]["threshold"]
    assert reported == run.before.point(None).threshold
    assert artifact.read_card(run.model).operating_points == run.before.operating_points


def test_the_card_in_the_model_file_has_the_figures_in_the_form_the_app_reads(run):
    from app.card_display import Figure, card_figure

    card = artifact.read_card(run.model)
    assert card.metrics["ece"] == run.report["test"]["pooled"]["ece"]
    for name in ("auc", "sensitivity", "specificity", "accuracy"):
        assert card_figure(card.metrics, name) == Figure(*run.report["test"]["pooled"][name]), name


def test_the_model_card_is_written_beside_the_model_with_its_hash_and_figures(run):
    text = (run.model.parent / "README.md").read_text()
    assert artifact.sha256(run.model) in text
    for part in (
        "not a diagnosis",
        "ham10000",
        "tiny_evaluation/roc.png",
        run.before.command,
        "It missed 2 of 6 test photos of melanoma",
    ):
        assert part in text


def test_the_sheets_of_mistakes_are_ignored_by_git(run):
    folder = run.model.parent / "tiny_evaluation" / "mistakes"
    # The pale melanoma is missed; no benign lesion is called malignant.
    assert [path.name for path in folder.glob("*.png")] == ["missed.png"]
    subprocess.run(["git", "init", "-q", run.model.parent], check=True)
    command = ["git", "status", "--short", "--untracked-files=all"]
    status = subprocess.run(
        command, cwd=run.model.parent, capture_output=True, text=True, check=True
    )
    assert "roc.png" in status.stdout
    assert "mistakes" not in status.stdout


@pytest.mark.parametrize("name", ["roc.png", "confusion.png", "reliability.png"])
def test_each_picture_is_a_png(run, name):
    with Image.open(run.model.parent / "tiny_evaluation" / name) as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300


WRONG_INPUT = [
    ("no such model", ["nowhere.h5", "--manifest", "{manifest}"], "no such file"),
    ("no such manifest", ["{model}", "--manifest", "nowhere.csv"], "no such manifest"),
    ("no test split", ["{model}", "--manifest", "{train}"], "expected images in the test split"),
    ("a missing photo", ["{model}", "--manifest", "{gone}"], "not readable"),
]


@pytest.mark.parametrize(
    ("name", "arguments", "message"), WRONG_INPUT, ids=[name for name, *_ in WRONG_INPUT]
)
def test_wrong_input_exits_with_1_and_a_message_and_writes_nothing(
    tiny_model, tmp_path, monkeypatch, capsys, name, arguments, message
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tiny_model.parent))
    model = tmp_path / "tiny.h5"
    shutil.copy(tiny_model, model)
    gone = (tmp_path / "gone.jpg", "ham10000", "nevus", 0, "ham10000:1")
    write_manifest(tmp_path / "gone.csv", [(*gone, "test")])
    write_manifest(tmp_path / "train.csv", [(*gone, "train")])
    write_manifest(tmp_path / "manifest.csv", [(*gone, "test")])
    paths = {name: tmp_path / f"{name}.csv" for name in ("gone", "train", "manifest")}
    assert main([a.format(model=model, **paths) for a in arguments]) == 1
    assert message in capsys.readouterr().err
    assert artifact.sha256(model) == artifact.sha256(tiny_model)
    assert not (tmp_path / "README.md").exists()


def test_a_test_split_other_than_the_models_own_gives_a_warning(
    tiny_model, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tiny_model.parent))
    model = tmp_path / "tiny.h5"
    shutil.copy(tiny_model, model)
    artifact.write_card(model, replace(artifact.read_card(model), split_hashes={"test": "other"}))
    path = tmp_path / "lesion.jpg"
    path.write_bytes(painter.encoded(painter.lesion()))
    write_manifest(tmp_path / "m.csv", [(path, "folders", "unknown", 1, "folders:1", "test")])
    arguments = [model, "--manifest", tmp_path / "m.csv", "--out", tmp_path / "out"]
    assert main(list(map(str, arguments))) == 0
    assert "test split is not the one set aside" in capsys.readouterr().err
    assert "so the figures may be too good" in (tmp_path / "README.md").read_text()


def test_the_card_of_another_model_is_not_overwritten(tiny_model, tmp_path):
    shutil.copy(tiny_model, tmp_path / "own.h5")
    card = artifact.read_card(tiny_model)
    readme = tmp_path / "README.md"
    readme.write_text("# Model card: melanoma.h5\n")
    assert model_card._place(tmp_path / "own.h5") == tmp_path / "own.md"
    readme.write_text(f"{model_card._head(tmp_path / 'own.h5', card)}\n")
    assert model_card._place(tmp_path / "own.h5") == readme


def test_changes_of_a_16_bit_grey_photo_match_its_decoding():
    grey = np.random.default_rng(0).integers(10_000, 60_000, (200, 300)).astype(np.uint16)
    file = BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    mirrored = dict(perturbations.changes(file.getvalue()))["left-right flip"]
    assert np.array_equal(mirrored, decode(file.getvalue())[:, ::-1])


def test_changes_of_a_photo_in_another_colour_space_are_made_in_srgb():
    wide = icc_files.rgb("P3", icc_files.formula(*icc_files.SRGB_CURVE), 4)
    file, converted = BytesIO(), BytesIO()
    Image.fromarray(painter.lesion(size=500)).save(file, "PNG", icc_profile=wide)
    Image.fromarray(decode(file.getvalue())).save(converted, "PNG")
    changed, expected = (dict(perturbations.changes(f.getvalue())) for f in (file, converted))
    for change in ("15 % brighter", "left-right flip"):
        assert np.abs(changed[change].astype(int) - expected[change]).max() <= 1


def test_values_missing_from_a_table_are_left_out(tmp_path):
    table = "img_id,age,gender,fitspatrick\na.png,nan,FEMALE,nan\nb.png,61,,5.0\n"
    (tmp_path / "metadata.csv").write_text(table)
    rows = [Row(str(tmp_path / name), "pad_ufes", "", 0, "", "test") for name in ("a.png", "b.png")]
    first, second = describe_patients(rows)
    assert first == {"sex": "female"}
    assert second == {"age": "60 and over", "skin tone": "Fitzpatrick V-VI"}


def test_the_mask_covers_only_the_middle():
    photo = np.random.default_rng(0).integers(0, 100, (500, 500, 3)).astype(np.uint8)
    masked = perturbations.mask_lesion(photo)
    hidden = (masked == perturbations.GREY).all(axis=-1)
    assert hidden[250, 80:420].all()
    assert np.array_equal(masked[~hidden], photo[~hidden])
    assert hidden.mean() == pytest.approx(np.pi / 4 * 0.7**2, abs=0.005)


def test_the_hottest_tenth_is_the_positions_with_the_highest_values():
    heat = np.arange(64.0).reshape(8, 8)
    assert np.array_equal(perturbations.hottest_tenth(heat), heat >= 58)


def test_a_random_tenth_has_the_same_number_of_positions():
    heat = np.zeros((8, 8))
    chosen = perturbations.random_tenth(heat, np.random.default_rng(0))
    assert chosen.sum() == perturbations.hottest_tenth(heat).sum() == 6


def test_covering_a_position_changes_only_that_position():
    photo = painter.lesion(size=500)
    mask = np.zeros((8, 8), bool)
    mask[0, 0] = True
    changed = (perturbations.cover(photo, mask) != photo).any(axis=-1)
    assert changed[:62, :62].mean() > 0.9
    assert not changed[63:].any()
    assert not changed[:, 63:].any()


def test_each_change_does_what_its_name_says():
    pixels = np.random.default_rng(0).integers(40, 200, (20, 20, 3)).astype(np.uint8)
    photo = np.asarray(Image.fromarray(pixels).resize((500, 500), Image.Resampling.BICUBIC))
    changed = dict(perturbations.changes(painter.encoded(photo, "PNG")))
    assert np.array_equal(changed["rotation by 90°"], np.rot90(photo))
    assert np.array_equal(changed["left-right flip"], photo[:, ::-1])
    assert np.array_equal(changed["top-bottom flip"], photo[::-1])
    assert changed["15 % brighter"].mean() == pytest.approx(photo.mean() * 1.15, rel=0.01)
    assert changed["15 % darker"].mean() == pytest.approx(photo.mean() * 0.85, rel=0.01)
    for name in ("JPEG quality 50", "resize by 0.7"):
        difference = np.abs(changed[name].astype(int) - photo).mean()
        assert 0 < difference < 8, name


def test_a_change_that_makes_a_photo_too_small_gives_none():
    tiny = painter.encoded(painter.lesion(size=80), "PNG")
    assert dict(perturbations.changes(tiny))["resize by 0.7"] is None
