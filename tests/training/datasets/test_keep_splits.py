"""Adding data with ``--keep-splits``, and detecting models trained on current test images."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from published_sets import by_name, manifest, put

from lens import artifact
from training import networks
from training.datasets.manifest import read_manifest
from training.fit import new_card
from training.fit.callbacks import TrainingError
from training.prepare import main

LESIONS = 20


def write_ham10000(folder: Path, lesions: range, photos: int = 1) -> Path:
    """Write HAM10000 with some lesions, every second one a melanoma, and some photos of each."""
    table = ["lesion_id,image_id,dx"]
    for lesion in lesions:
        for photo in range(photos):
            name = f"ISIC_{100 * lesion + photo:07}"
            put(folder / "images" / f"{name}.jpg", 100 * lesion + photo)
            table.append(f"HAM_{lesion},{name},{'mel' if lesion % 2 else 'nv'}")
    put(folder / "HAM10000_metadata.csv", "\n".join(table))
    return folder


def prepare(out: Path, folder: Path, *more: str) -> dict[str, dict[str, str]]:
    assert main(["--ham10000", str(folder), "--out", str(out), "--seed", "3", *more]) == 0
    return by_name(out)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The manifest before data is added."""
    prepare(tmp_path / "first", write_ham10000(tmp_path / "ham", range(LESIONS)))
    return tmp_path / "first" / "manifest.csv"


def splits(rows: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: row["split"] for name, row in rows.items()}


def test_images_keep_their_split_and_new_ones_are_divided_among_all_splits(
    tmp_path: Path, first: Path
) -> None:
    before = splits(by_name(first.parent))
    larger = write_ham10000(tmp_path / "larger", range(3 * LESIONS))
    after = splits(prepare(tmp_path / "out", larger, "--keep-splits", str(first)))
    assert {name: after[name] for name in before} == before
    counts = Counter(after.values())
    for split, share in (("train", 42), ("val", 9), ("test", 9)):
        assert abs(counts[split] - share) <= 2, split
    # Without --keep-splits, the same lesions get other splits.
    assert splits(prepare(tmp_path / "fresh", larger)) != after


def test_a_new_photo_of_a_known_lesion_gets_the_split_of_the_lesion(
    tmp_path: Path, first: Path
) -> None:
    before = splits(by_name(first.parent))
    more = write_ham10000(tmp_path / "ham", range(LESIONS), photos=2)
    after = splits(prepare(tmp_path / "out", more, "--keep-splits", str(first)))
    for lesion in range(LESIONS):
        assert after[f"ISIC_{100 * lesion + 1:07}"] == before[f"ISIC_{100 * lesion:07}"]


def test_a_lesion_keeps_its_split_when_its_photo_is_replaced(tmp_path: Path, first: Path) -> None:
    before = splits(by_name(first.parent))
    folder = write_ham10000(tmp_path / "ham", range(LESIONS), photos=2)
    for lesion in range(LESIONS):
        (folder / "images" / f"ISIC_{100 * lesion:07}.jpg").unlink()
    after = splits(prepare(tmp_path / "out", folder, "--keep-splits", str(first), "--seed", "9"))
    assert after == {f"{name[:-1]}1": split for name, split in before.items()}


def test_images_moved_to_another_folder_are_recognised(tmp_path: Path, first: Path) -> None:
    before = splits(by_name(first.parent))
    moved = (tmp_path / "ham").rename(tmp_path / "elsewhere")
    arguments = ("--keep-splits", str(first), "--seed", "9")
    assert splits(prepare(tmp_path / "out", moved, *arguments)) == before


def test_a_picture_of_the_isic_archive_keeps_its_split_in_a_set_of_another_source(
    tmp_path: Path, first: Path
) -> None:
    before = by_name(first.parent)
    for name, row in before.items():
        folder = tmp_path / "other" / ("malignant" if row["malignant"] == "1" else "benign")
        put(folder / f"{name}_downsampled.jpg", 5000 + int(name[5:]))
    arguments = ["--dermoscopic-folders", str(tmp_path / "other"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--keep-splits", str(first), "--seed", "9"]) == 0
    after = {
        name.removesuffix("_downsampled"): row for name, row in by_name(tmp_path / "out").items()
    }
    assert splits(after) == splits(before)


def test_the_splits_of_a_manifest_without_kinds_are_kept(tmp_path: Path, first: Path) -> None:
    rows = list(csv.DictReader(first.open()))
    with first.open("w", newline="") as file:
        columns = ["path", "source", "diagnosis", "malignant", "group", "split"]
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    before = splits(by_name(first.parent))
    arguments = ("--keep-splits", str(first), "--seed", "9")
    assert splits(prepare(tmp_path / "out", tmp_path / "ham", *arguments)) == before


def lesion_in(split: str, rows: dict[str, dict[str, str]]) -> int:
    """The number of a lesion in the split."""
    return next(int(n[5:10]) for n, row in rows.items() if row["split"] == split)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("train", "test", "test"), ("val", "test", "test"), ("train", "val", "val")],
)
def test_a_group_joined_from_two_splits_gets_the_stricter_one(
    tmp_path: Path,
    first: Path,
    one: str,
    other: str,
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = by_name(first.parent)
    lesions = lesion_in(one, before), lesion_in(other, before)
    # In the new table they are one lesion.
    put(tmp_path / "ham" / "HAM10000_metadata.csv", table_with_joined(tmp_path / "ham", *lesions))
    after = prepare(tmp_path / "out", tmp_path / "ham", "--keep-splits", str(first))
    moved = {name for name in before if after[name]["split"] != before[name]["split"]}
    assert {int(name[5:10]) for name in moved} == {lesions[0]}
    assert {after[name]["split"] for name in moved} == {expected}
    assert f"joined to one in another split: {one} to {expected} 1\n" in capsys.readouterr().out


def table_with_joined(folder: Path, one: int, other: int) -> str:
    """The text of the table, with two lesions joined into one."""
    text = (folder / "HAM10000_metadata.csv").read_text()
    return text.replace(f"HAM_{one},", f"HAM_{other},")


def test_photos_without_a_lesion_keep_their_split(tmp_path: Path) -> None:
    def prepare_photos(count: int, *more: str) -> dict[str, str]:
        for number in range(count):
            put(tmp_path / "sea" / f"{number}.jpg", 500 + number)
        arguments = ["--not-lesion", str(tmp_path / "sea"), "--out", str(tmp_path / "out"), *more]
        assert main(arguments) == 0
        rows = manifest(tmp_path / "out", "not_lesion.csv")
        return {Path(row["path"]).stem: row["split"] for row in rows}

    before = prepare_photos(8)
    put(tmp_path / "out" / "manifest.csv", "path,source,kind,diagnosis,malignant,group,split\n")
    after = prepare_photos(
        20, "--keep-splits", str(tmp_path / "out" / "manifest.csv"), "--seed", "5"
    )
    assert {name: after[name] for name in before} == before
    assert list(after.values()).count("test") == 10


def test_a_missing_earlier_manifest_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_ham10000(tmp_path / "ham", range(2))
    arguments = ["--ham10000", str(folder), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--keep-splits", str(tmp_path / "none.csv")]) == 1
    assert "prepare: --keep-splits: " in capsys.readouterr().err


def write_model(path: Path, manifest_file: Path) -> Path:
    """Write a model whose card says that it was trained on the manifest."""
    hashes = new_card.card_split_hashes(read_manifest(manifest_file), [])
    artifact.save(networks.cnn7(), path, artifact.Card("cnn7", split_hashes=hashes))
    return path


def test_a_model_trained_on_the_earlier_manifest_can_be_continued_with_the_larger_one(
    tmp_path: Path, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_model(tmp_path / "old.h5", first)
    larger = write_ham10000(tmp_path / "larger", range(2 * LESIONS))
    prepare(tmp_path / "out", larger, "--keep-splits", str(first))
    grown = tmp_path / "out" / "manifest.csv"
    capsys.readouterr()
    assert set(new_card.card_split_hashes(read_manifest(grown), [model], grown)) == {
        "train",
        "val",
        "test",
    }
    assert not capsys.readouterr().err


def test_continuing_a_model_of_unknown_training_data_drops_the_test_hash_with_a_warning(
    tmp_path: Path, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path / "out", tmp_path / "ham", "--keep-splits", str(first))
    grown = tmp_path / "out" / "manifest.csv"
    unknown = tmp_path / "unknown.h5"
    hashes = {"train": "1" * 64, "val": "2" * 64, "test": "3" * 64}
    artifact.save(networks.cnn7(), unknown, artifact.Card("cnn7", split_hashes=hashes))
    assert set(new_card.card_split_hashes(read_manifest(grown), [unknown], grown)) == {
        "train",
        "val",
    }
    assert f"WARNING: {unknown}" in capsys.readouterr().err


def test_continuing_a_model_that_has_learned_from_a_current_test_image_is_refused(
    tmp_path: Path, first: Path
) -> None:
    model = write_model(tmp_path / "old.h5", first)
    before = by_name(first.parent)
    lesions = lesion_in("train", before), lesion_in("test", before)
    put(tmp_path / "ham" / "HAM10000_metadata.csv", table_with_joined(tmp_path / "ham", *lesions))
    prepare(tmp_path / "out", tmp_path / "ham", "--keep-splits", str(first))
    grown = tmp_path / "out" / "manifest.csv"
    # A model of unknown training data does not hide the other, in whichever order they come.
    unknown = tmp_path / "unknown.h5"
    artifact.save(networks.cnn7(), unknown, artifact.Card("cnn7"))
    with pytest.raises(TrainingError, match="has learned from 1 of") as error:
        new_card.card_split_hashes(read_manifest(grown), [unknown, model], grown)
    assert str(model) in str(error.value) and f"ISIC_{100 * lesions[0]:07}" in str(error.value)


def test_the_first_manifest_is_still_known_after_adding_data_twice(
    tmp_path: Path, first: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_model(tmp_path / "old.h5", first)
    second = tmp_path / "second" / "manifest.csv"
    for size, previous, out in ((24, first, "second"), (28, second, "out")):
        folder = write_ham10000(tmp_path / f"write_ham10000{size}", range(size))
        prepare(tmp_path / out, folder, "--keep-splits", str(previous))
    grown = tmp_path / "out" / "manifest.csv"
    assert "test" in new_card.card_split_hashes(read_manifest(grown), [model], grown)
