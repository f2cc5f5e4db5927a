"""Training and recalibrating on painted lesions, of which the dark ones are malignant."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import painter
import pytest
from serving import small_disk

from lens import artifact, engine, images, loader
from lens.card import Card, OperatingPoint, for_all_kinds
from lens.images import decode
from training import networks, recalibrate, train
from training.datasets.manifest import COLUMNS, REQUIRED_COLUMNS, ManifestError, Row, read_manifest
from training.fit import (
    batches,
    calibration,
    image_cache,
    last_layers,
    new_card,
    recipes,
    run,
    sampling,
)
from training.fit.augmentation import Augmentation, graft
from training.fit.negatives import crop_skin


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifests of 48 lesions, half of them malignant, and of 4 photos without a lesion."""
    folder = tmp_path_factory.mktemp("data")
    lesions, others = [], []
    for index in range(48):
        malignant = index % 2
        colour = painter.DARK if malignant else painter.PALE
        path = folder / f"lesion{index}.jpg"
        path.write_bytes(painter.encoded(painter.lesion(index, colour, 256)))
        diagnosis = "melanoma" if malignant else "nevus"
        split = ("train", "train", "train", "train", "val", "test")[index // 2 % 6]
        lesions.append([path.name, "painted", diagnosis, malignant, f"g{index}", split])
    for index in range(4):
        path = folder / f"sea{index}.jpg"
        path.write_bytes(painter.encoded(painter.sea(index, 256)))
        others.append([path.name, "not_lesion", "not_lesion", 0, f"s{index}", "train"])
    for name, rows in (("manifest.csv", lesions), ("not_lesion.csv", others)):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([REQUIRED_COLUMNS, *rows])
    return folder / "manifest.csv"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the default recipe to two stages of small images, with two steps per epoch."""
    shortened = recipes.Recipe(
        **{
            **vars(recipes.DEFAULT),
            "stages": (recipes.Stage(0.5, 64, 8), recipes.Stage(0.5, 96, 8)),
            "images_per_epoch": 16,
        }
    )
    monkeypatch.setitem(recipes.RECIPES, "default", shortened)
    monkeypatch.setattr(last_layers, "PAINTED_SAMPLES", 8)
    monkeypatch.setattr(last_layers, "SKIN_CROPS", 8)


@pytest.fixture
def keras_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrate without OpenVINO: converting each model for it takes ten seconds."""
    monkeypatch.setattr(calibration, "open_engine", lambda model, **_: engine.KerasEngine(model))


@pytest.mark.usefixtures("quick")
def test_training_writes_a_calibrated_model_with_its_card_and_curves(
    manifest: Path, tmp_path: Path
) -> None:
    out = tmp_path / "m.h5"
    assert train.main(["--manifest", str(manifest), "--out", str(out), "--epochs", "2"]) == 0
    card = artifact.read_card(out)
    assert card.calibrated
    assert 0 < card.point("clinical").threshold < 1
    assert card.point("clinical").lesion_threshold is not None
    assert card.training_data["images_and_malignant"]["painted"]["train"] == [32, 16]
    assert len(card.split_hashes["test"]) == 64
    assert (tmp_path / "m_curves.png").stat().st_size > 10_000


def test_a_run_without_a_finished_epoch_cannot_be_resumed(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--manifest", str(manifest), "--out", str(tmp_path / "m.h5"), "--resume"]
    assert train.main(arguments) == 2
    assert "no finished epoch to resume" in capsys.readouterr().err


def test_the_recorded_command_does_not_contain_resume() -> None:
    options = train.parse(["--seed", "3", "--resume"])
    assert options.command == "python -m training.train --seed 3"


def test_a_network_of_the_paper_is_rejected_with_a_recipe_of_smaller_images(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--manifest", str(manifest), "--out", str(tmp_path / "m.h5")]
    assert train.main([*files, "--network", "cnn_v2"]) == 2
    assert "cnn_v2 takes only images of 500 px" in capsys.readouterr().err
    assert not (tmp_path / "m.run").exists()


@pytest.mark.usefixtures("keras_engine")
def test_a_network_of_the_paper_can_be_trained_with_its_recipe(
    manifest: Path, tmp_path: Path
) -> None:
    out = tmp_path / "paper.h5"
    arguments = ["--manifest", str(manifest), "--out", str(out), "--network", "cnn_v1"]
    assert train.main([*arguments, "--recipe", "paper", "--epochs", "1"]) == 0
    assert artifact.read_card(out).name == "cnn_v1"


def test_training_uses_exactly_the_pixels_that_serving_decodes(
    manifest: Path, tmp_path: Path
) -> None:
    rows = read_manifest(manifest)[:4]
    for _ in ("cache filled", "cache reopened"):
        images = image_cache.open_images(rows, tmp_path)
        for row, image in zip(rows, images, strict=True):
            assert np.array_equal(image, decode(Path(row.path).read_bytes()))


def test_images_are_decoded_again_after_the_decoder_has_changed(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read_manifest(manifest)[:2]
    image_cache.open_images(rows, tmp_path)
    black = np.zeros((500, 500, 3), np.uint8)
    monkeypatch.setattr(image_cache, "decode", lambda encoded: black)
    assert image_cache.open_images(rows, tmp_path).any()
    monkeypatch.setattr(images, "version", lambda package: "0.1")
    assert not image_cache.open_images(rows, tmp_path).any()


def test_a_full_disk_is_reported_before_training(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "small", 4_000_000) as folder:
        for source in manifest.parent.glob("*.[cj]*"):
            (folder / source.name).write_bytes(source.read_bytes())
        assert train.main(["--manifest", str(folder / "manifest.csv"), "--epochs", "1"]) == 1
        error = capsys.readouterr().err
        assert "cache: expected 24 MB of disk space" in error
        assert not list(folder.glob("cache/*.npy"))


def test_a_batch_depends_only_on_seed_and_epoch_and_index(manifest: Path, tmp_path: Path) -> None:
    rows = read_manifest(manifest)
    examples = batches.Examples(image_cache.open_images(rows, tmp_path), rows, np.zeros((0,)), None)

    def batch(seed: int, epoch: int, index: int) -> np.ndarray:
        return batches.Batches(
            examples,
            weights=sampling.sampling_weights(rows),
            outputs=("malignant",),
            augmentation=recipes.DEFAULT.augmentation,
            size=64,
            batch=4,
            steps=2,
            other_share=0.0,
            graft_share=0.0,
            seed=seed,
            epoch=epoch,
        )[index][0]

    first = batch(0, 0, 0)
    assert np.array_equal(first, batch(0, 0, 0))
    for other in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        assert not np.array_equal(first, batch(*other))


def test_only_lesions_have_a_weight_for_the_output_kind(tmp_path: Path) -> None:
    kinds = ["clinical", "dermoscopic"]
    rows = [Row("", "one", "nevus", 0, "", "train", kind) for kind in kinds]
    photos = np.full((2, 500, 500, 3), 200, np.uint8)
    epoch = batches.Batches(
        batches.Examples(photos, rows, photos[:1], None),
        weights=np.array([0.5, 0.5]),
        outputs=("malignant", "lesion", "kind"),
        augmentation=recipes.DEFAULT.augmentation,
        size=64,
        batch=64,
        steps=1,
        other_share=0.5,
        graft_share=0.0,
        seed=0,
        epoch=0,
    )
    _, targets, weights = epoch[0]
    lesions = targets["lesion"].ravel() == 1
    assert set(targets["kind"][lesions].ravel()) == {0, 1}
    assert (weights["kind"] == lesions).all()


def test_sampling_balances_the_classes_of_each_source_and_favours_small_sources() -> None:
    def rows(source: str, malignant: int, count: int) -> list[Row]:
        return [Row("", source, "", malignant, "", "train")] * count

    every = [
        row
        for source, counts in (("large", (900, 400)), ("small", (800, 4)))
        for malignant, count in enumerate(counts)
        for row in rows(source, malignant, count)
    ]
    weights = sampling.sampling_weights(every)
    parts = [part.sum() for part in np.split(weights, [900, 1300, 2100])]
    assert parts == pytest.approx([0.5 * 20 / 22, 0.5 * 20 / 22, 0.5 * 2 / 22, 0.5 * 2 / 22])


def test_sampling_balances_the_classes_of_each_kind_of_photo_in_a_source() -> None:
    def rows(kind: str, malignant: int, count: int) -> list[Row]:
        return [Row("", "milk10k", "", malignant, "", "train", kind)] * count

    every = [
        *rows("clinical", 0, 300),
        *rows("clinical", 1, 100),
        *rows("dermoscopic", 0, 25),
        *rows("dermoscopic", 1, 75),
    ]
    weights = sampling.sampling_weights(every)
    parts = [part.sum() for part in np.split(weights, [300, 400, 425])]
    assert parts == pytest.approx([0.5 * 10 / 15, 0.5 * 10 / 15, 0.5 * 5 / 15, 0.5 * 5 / 15])


def test_a_graft_has_the_lesion_of_one_photo_and_the_surroundings_of_another() -> None:
    dark, pale = (np.full((500, 500, 3), level, np.uint8) for level in (40, 220))
    grafted = graft(dark, pale)
    assert (grafted[150:350, 150:350] == 40).all()
    assert (grafted[:20] == 220).all()
    assert (grafted[:, -20:] == 220).all()


@pytest.mark.usefixtures("quick")
def test_bare_skin_is_cropped_only_from_a_corner_that_shows_nothing_else() -> None:
    rng = np.random.default_rng(0)
    skin = np.full((500, 500, 3), (224, 172, 150), np.uint8)
    photo = skin.copy()
    photo[150:350, 150:350] = (90, 50, 40)
    crops = [crop for crop in (crop_skin(photo, rng) for _ in range(20)) if crop is not None]
    assert crops
    for crop in crops:
        assert crop.shape == (500, 500, 3)
        np.testing.assert_allclose(crop.mean(axis=(0, 1)), skin[0, 0], atol=2)

    uneven, dark = photo.copy(), photo.copy()
    uneven[::8] = (120, 80, 60)
    dark[:] //= 3
    for other in (skin, uneven, dark):
        assert not any(crop_skin(other, rng) is not None for _ in range(20))


@pytest.mark.usefixtures("quick", "keras_engine")
def test_cnn7_can_be_distilled_from_a_fine_tuned_teacher(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = recipes.RECIPES["default"]
    fine_tune = replace(quick, frozen=recipes.FINE_TUNE.frozen)
    monkeypatch.setitem(recipes.RECIPES, "finetune", fine_tune)
    arguments = ["--manifest", str(manifest), "--epochs", "1"]
    teacher = tmp_path / "teacher.h5"
    network = ["--network", "efficientnet_lite0", "--recipe", "finetune"]
    assert train.main([*arguments, *network, "--out", str(teacher)]) == 0

    model, card = loader.load(teacher)
    fresh = networks.efficientnet_lite0()
    changed = {
        layer.name
        for layer, before in zip(model.layers, fresh.layers, strict=True)
        if any(
            not np.allclose(a, b)  # Averaging rounds even weights that do not change.
            for a, b in zip(layer.get_weights(), before.get_weights(), strict=True)
        )
    }
    assert card.views == 8
    assert "conv_head" in changed
    assert not [name for name in changed if name.startswith(recipes.FINE_TUNE.frozen)]

    student = tmp_path / "student.h5"
    assert train.main([*arguments, "--teacher", str(teacher), "--out", str(student)]) == 0
    history = json.loads((tmp_path / "student.run" / "state.json").read_text())
    assert {"teacher_loss", "opinion_loss"} <= history[0].keys()


@pytest.mark.usefixtures("quick")
def test_training_can_start_from_a_model(manifest: Path, tmp_path: Path) -> None:
    first = tmp_path / "first.h5"
    given = networks.cnn7()
    artifact.save(given, first, Card("cnn7"))
    files = ["--manifest", str(manifest), "--out", str(tmp_path / "second.h5")]
    options = ["--start", str(first), "--epochs", "1", "--set", "rates.adam=0"]
    trained = run.train_network(train.parse([*files, *options])).network
    for actual, expected in zip(trained.trainable_weights, given.trainable_weights, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_training_cannot_start_from_a_model_of_another_network(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.h5"
    artifact.save(networks.efficientnet_lite0(), other, Card("efficientnet_lite0"))
    assert train.main(["--manifest", str(manifest), "--start", str(other)]) == 1
    assert "expected cnn7 to start from, got efficientnet_lite0" in capsys.readouterr().err


def test_an_augmentation_without_changes_returns_the_same_image() -> None:
    image = decode(painter.encoded(painter.lesion()))
    assert np.array_equal(Augmentation()(image, np.random.default_rng(0), 500), image)


@pytest.mark.usefixtures("quick", "keras_engine")
def test_recalibration_changes_only_the_refusal_layer_and_the_card(
    manifest: Path, tmp_path: Path
) -> None:
    before, after = tmp_path / "before.h5", tmp_path / "after.h5"
    points = for_all_kinds(OperatingPoint(threshold=0.123))
    command = "python -m training.train --seed 9"
    card = Card("cnn7", operating_points=points, command=command)
    artifact.save(networks.cnn7(), before, card)
    arguments = [str(before), "--out", str(after), "--manifest", str(manifest)]
    assert recalibrate.main(arguments) == 0

    (old, _), (new, card) = loader.load(before), loader.load(after)
    changed = {
        layer.name
        for layer, previous in zip(new.layers, old.layers, strict=True)
        if [w.tobytes() for w in layer.get_weights()]
        != [w.tobytes() for w in previous.get_weights()]
    }
    assert changed == {"lesion"}
    assert (card.calibrated, card.views, len(card.margins)) == (True, 8, 2)
    assert card.operating_points != points
    assert card.command.splitlines()[0] == "python -m training.train --seed 9"
    assert "training.recalibrate" in card.command.splitlines()[1]


@pytest.mark.usefixtures("keras_engine")
def test_recalibration_without_other_photographs_keeps_the_refusal_layer(
    manifest: Path, tmp_path: Path
) -> None:
    lesions_only = tmp_path / "manifest.csv"
    lesions_only.write_text(manifest.read_text().replace("lesion", f"{manifest.parent}/lesion"))
    before, after = tmp_path / "before.h5", tmp_path / "after.h5"
    artifact.save(networks.cnn7(), before, Card("cnn7"))
    arguments = [str(before), "--out", str(after), "--manifest", str(lesions_only)]
    assert recalibrate.main(arguments) == 0
    (old, _), (new, card) = loader.load(before), loader.load(after)
    lesion = [model.get_layer("lesion").get_weights()[0] for model in (old, new)]
    assert np.array_equal(*lesion)
    assert card.calibrated


def test_the_test_hash_is_left_out_if_a_parent_model_may_have_learned_from_the_test_split(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read_manifest(manifest)
    same, other = tmp_path / "same.h5", tmp_path / "other.h5"
    for path, hashes in ((same, new_card.card_split_hashes(rows, [])), (other, {"test": "0" * 64})):
        artifact.save(networks.cnn7(), path, Card("cnn7", split_hashes=hashes))
    assert set(new_card.card_split_hashes(rows, [same])) == {"train", "val", "test"}
    assert not capsys.readouterr().err
    assert set(new_card.card_split_hashes(rows, [same, other])) == {"train", "val"}
    assert f"WARNING: {other} was trained with another test split" in capsys.readouterr().err


def test_a_model_of_an_unknown_network_cannot_be_recalibrated(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.h5"
    artifact.save(networks.cnn7(), path, Card("own"))
    arguments = [str(path), "--out", str(tmp_path / "n.h5"), "--manifest", str(manifest)]
    assert recalibrate.main(arguments) == 1
    assert "expected a network of training.train (cnn_v1," in capsys.readouterr().err


def test_flips_mirror_the_image_exactly() -> None:
    image = decode(painter.encoded(painter.lesion()))
    mirrored = [image[::y, ::x].tobytes() for y in (1, -1) for x in (1, -1)]
    flips = Augmentation(flips=True)
    seen = {flips(image, np.random.default_rng(seed), 500).tobytes() for seed in range(20)}
    assert seen == set(mirrored)


def test_an_image_is_halved_by_averaging_boxes_as_in_validation() -> None:
    image = decode(painter.encoded(painter.lesion()))
    small = Augmentation()(image, np.random.default_rng(0), 250).astype(float)
    assert np.abs(small - image.reshape(250, 2, 250, 2, 3).mean(axis=(1, 3))).max() <= 0.5


def test_a_margin_is_the_99th_percentile_of_the_distance_between_few_and_all_views() -> None:
    logits = np.random.default_rng(0).normal(0, 1, (10_000, 8))
    margins = calibration.margins(logits)
    # The difference between the mean of k and of all 8 views has the variance 1 / k - 1 / 8.
    assert margins == pytest.approx([2.576 * np.sqrt(1 / k - 1 / 8) for k in (2, 4)], rel=0.05)
    assert calibration.margins(logits[:, :1]) == ()


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
def test_the_kind_of_photo_is_read_from_the_manifest_or_in_older_ones_from_the_source(
    tmp_path: Path, mark: str
) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text(mark + ",".join(COLUMNS) + "\na.jpg,ham10000,clinical,nevus,0,g,train\n")
    assert [row.kind for row in read_manifest(path)] == ["clinical"]
    older = [f"a.jpg,{s},nevus,0,g,test" for s in ("ham10000", "isic2019", "siim2020", "pad_ufes")]
    path.write_text(mark + "\n".join([",".join(REQUIRED_COLUMNS), *older]))
    assert [row.kind for row in read_manifest(path)] == ["dermoscopic"] * 3 + ["clinical"]


def test_a_manifest_that_is_not_utf8_is_rejected_with_a_message(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text(",".join(REQUIRED_COLUMNS) + "\n", encoding="utf-16")
    with pytest.raises(ManifestError, match="expected a CSV table in UTF-8"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such manifest"),
        ("path,source\n", "missing diagnosis,group,malignant,split"),
        (
            ",".join(REQUIRED_COLUMNS) + "\na.jpg,s,nevus,maybe,g,train\n",
            "line 2: expected malignant 0 or 1",
        ),
        (",".join(REQUIRED_COLUMNS) + "\na.jpg,s,nevus,0,g,dev\n", "split train, val or test"),
        (",".join(REQUIRED_COLUMNS) + "\na.jpg,s,nevus,0,g,train\n", "benign and malignant images"),
        (",".join(COLUMNS) + "\na.jpg,s,x-ray,nevus,0,g,test\n", "or dermoscopic, got 'x-ray'"),
        (",".join(COLUMNS) + "\na.jpg,s,,nevus,0,g,train\n", "clinical or dermoscopic, got ''"),
        (
            ",".join(REQUIRED_COLUMNS) + "\na.jpg,s,nevus,0,g\n",
            "line 2: expected 6 values, found fewer",
        ),
    ],
)
def test_a_wrong_manifest_is_rejected_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, message: str
) -> None:
    path = tmp_path / "manifest.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ManifestError, match=message):
        run.train(train.parse(["--manifest", str(path)]))
    assert train.main(["--manifest", str(path)]) == 1
    assert message in capsys.readouterr().err


def test_training_without_data_prints_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.main([]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
