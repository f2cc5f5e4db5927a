"""A stopped run goes on with what it was begun with, and with nothing else."""

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
def begun(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments of a run that has done its one epoch."""
    out = tmp_path_factory.mktemp("models") / "m.h5"
    arguments = ["--manifest", str(manifest), "--out", str(out), *painted_set.QUICK]
    arguments += ["--set", "stages.0.share=1", "--set", "stages.1.share=0", "--epochs", "1"]
    run.train_network(train.parse(arguments))
    return arguments


def swapped(manifest: Path, folder: Path) -> Path:
    """The same lesions, the training split and the test split in each other's place."""
    other = {"train": "test", "test": "train", "val": "val"}
    with manifest.open(newline="") as file:
        header, *rows = csv.reader(file)
    place, path = header.index("split"), header.index("path")
    for row in rows:
        row[place] = other[row[place]]
        row[path] = str(manifest.parent / row[path])
    with (folder / "swapped.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return folder / "swapped.csv"


def errors(said: str) -> list[str]:
    return [line for line in said.splitlines() if not line.startswith("WARNING: ")]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (["--manifest", "SWAPPED"], "another set of training images;"),
        (["--network", "cnn_v1"], "another network (cnn7 then, cnn_v1 now)"),
        (["--optimizer", "sgd"], "another recipe.optimizer (adam then, sgd now)"),
        (["--epochs", "3"], "another recipe.epochs (1 then, 3 now)"),
        (["--set", "augmentation.zoom=0.5"], "another recipe.augmentation.zoom (0.25 then"),
        (["--seed", "1"], "another seed (0 then, 1 now)"),
        (["--teacher", "imagenet"], "another --teacher (none then, imagenet now)"),
        (["--start", "models/melanoma.h5"], "another --start;"),
    ],
)
def test_a_changed_run_is_not_resumed_and_its_folder_stays_as_it_is(
    begun: list[str],
    changed: list[str],
    named: str,
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Path(begun[3]).with_suffix(".run")
    before = contents(folder)
    if changed[1] == "SWAPPED":
        changed = ["--manifest", str(swapped(manifest, tmp_path))]
    assert train.main([*begun, *changed, "--resume"]) == 2
    (error,) = errors(capsys.readouterr().err)
    assert named in error
    assert contents(folder) == before


def test_an_unchanged_run_may_be_resumed_where_its_images_moved(
    begun: list[str], manifest: Path, tmp_path: Path
) -> None:
    for path in manifest.parent.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    options = train.parse([*begun, "--manifest", str(tmp_path / "manifest.csv"), "--resume"])
    assert len(run.train_network(options).history) == 1


def test_an_image_of_another_size_makes_another_run(tmp_path: Path) -> None:
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


def test_a_run_that_begins_anew_leaves_nothing_to_resume_of_the_run_before(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("[]")
    record.begin(tmp_path, {"seed": "1"})
    with pytest.raises(UsageError, match="no finished epoch"):
        record.check(tmp_path, {"seed": "1"})


def test_only_code_that_runs_decides_whether_a_run_is_the_same() -> None:
    one = 'def f(x):\n    """Double."""\n    return 2 * x  # twice\n'
    reworded = "def f(x):\n    'Twice as much.'\n\n    return (2 *\n        x)\n"
    assert record.code_of(one) == record.code_of(reworded)
    assert record.code_of(one) != record.code_of(one.replace("2", "3"))
