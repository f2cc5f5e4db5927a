"""Resuming a stopped run, which is possible only with its original settings and images."""

import csv
from pathlib import Path

import painted_set
import pytest

from training import train
from training.cli import UsageError
from training.datasets.manifest import Row
from training.fit import record, run
from training.fit.recipes import DEFAULT


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted_set.write(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def started(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments of a run that has finished its only epoch."""
    out = tmp_path_factory.mktemp("models") / "m.h5"
    arguments = ["--manifest", str(manifest), "--out", str(out), *painted_set.QUICK]
    arguments += ["--set", "stages.0.share=1", "--set", "stages.1.share=0", "--epochs", "1"]
    run.train_network(train.parse(arguments))
    return arguments


def write_swapped(manifest: Path, folder: Path) -> Path:
    """Write a manifest of the same lesions with the train and test splits swapped."""
    other = {"train": "test", "test": "train", "val": "val"}
    with manifest.open(newline="") as file:
        header, *rows = csv.reader(file)
    split, path = header.index("split"), header.index("path")
    for row in rows:
        row[split] = other[row[split]]
        row[path] = str(manifest.parent / row[path])
    with (folder / "swapped.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return folder / "swapped.csv"


def errors(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if not line.startswith("WARNING: ")]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--manifest", "SWAPPED"], "another set of training images;"),
        (
            ["--network", "efficientnet_lite0"],
            "another network (cnn7 then, efficientnet_lite0 now)",
        ),
        (["--optimizer", "sgd"], "another recipe.optimizer (adam then, sgd now)"),
        (["--epochs", "3"], "another recipe.epochs (1 then, 3 now)"),
        (["--set", "augmentation.zoom=0.5"], "another recipe.augmentation.zoom (0.25 then"),
        (["--seed", "1"], "another seed (0 then, 1 now)"),
        (["--teacher", "imagenet"], "another --teacher (none then, imagenet now)"),
        (["--start", "models/melanoma.h5"], "another --start;"),
    ],
)
def test_a_run_with_changed_settings_is_not_resumed_and_its_folder_is_not_changed(
    started: list[str],
    changed: list[str],
    message: str,
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Path(started[3]).with_suffix(".run")
    before = contents(folder)
    if changed[1] == "SWAPPED":
        changed = ["--manifest", str(write_swapped(manifest, tmp_path))]
    assert train.main([*started, *changed, "--resume"]) == 2
    (error,) = errors(capsys.readouterr().err)
    assert message in error
    assert contents(folder) == before


def test_a_run_can_be_resumed_after_its_images_were_moved(
    started: list[str], manifest: Path, tmp_path: Path
) -> None:
    for path in manifest.parent.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    options = train.parse([*started, "--manifest", str(tmp_path / "manifest.csv"), "--resume"])
    assert len(run.train_network(options).history) == 1


def test_an_image_with_another_file_size_makes_it_another_run(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    row = Row(path=str(photo), source="s", diagnosis="nevus", malignant=0, group="g", split="train")
    records = []
    for text in ("one", "another"):
        photo.write_text(text)
        records.append(record.describe_run("cnn7", DEFAULT, 0, {"images": [row]}))
    assert records[0]["images"] != records[1]["images"]


def test_a_run_without_a_finished_epoch_or_a_record_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no finished epoch"):
        record.check(tmp_path, {})
    (tmp_path / "state.json").write_text("[]")
    with pytest.raises(UsageError, match=r"has no run\.json"):
        record.check(tmp_path, {})


def test_a_new_run_invalidates_the_checkpoints_of_the_run_before(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("[]")
    record.begin(tmp_path, {"seed": "1"})
    with pytest.raises(UsageError, match="no finished epoch"):
        record.check(tmp_path, {"seed": "1"})


def test_comments_docstrings_and_formatting_do_not_change_the_recorded_code() -> None:
    one = 'def f(x):\n    """Double."""\n    return 2 * x  # twice\n'
    reworded = "def f(x):\n    'Twice as much.'\n\n    return (2 *\n        x)\n"
    assert record.code_of(one) == record.code_of(reworded)
    assert record.code_of(one) != record.code_of(one.replace("2", "3"))
