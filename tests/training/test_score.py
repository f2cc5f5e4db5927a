"""``training.score``: one row for each file, whether it is a usable photo or not."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import bad_files
import painter
import pytest
from serving import ROOT

from training.score import main
from training.scoring.workers import COLUMNS

pytestmark = pytest.mark.usefixtures("converted_once")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with photos, other files, hidden files, and a subfolder."""
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    (folder / ".thumbnails").mkdir()
    (folder / "b_malignant.jpg").write_bytes(painter.encoded(painter.lesion()))
    (folder / "a_benign.png").write_bytes(
        painter.encoded(painter.lesion(colour=painter.PALE), "PNG")
    )
    (folder / "deeper" / "sea.jpg").write_bytes(painter.encoded(painter.sea()))
    (folder / "notes.txt").write_text("taken in May")
    (folder / ".hidden.jpg").write_bytes(painter.encoded(painter.lesion()))
    (folder / ".thumbnails" / "x.jpg").write_bytes(painter.encoded(painter.lesion()))
    return folder


def run(model: Path, out: Path, *paths: Path) -> tuple[int, list[dict[str, str]]]:
    status = main(["--model", str(model), "--out", str(out), *map(str, paths)])
    with out.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        rows = list(table)
        assert tuple(table.fieldnames or ()) == COLUMNS
    return status, rows


def test_every_file_in_a_folder_except_hidden_ones_gets_a_row_in_order_of_name(
    tiny_model, photos, tmp_path
):
    status, rows = run(tiny_model, tmp_path / "scores.csv", photos)
    assert status == 0
    assert [Path(row["path"]).name for row in rows] == [
        "a_benign.png",
        "b_malignant.jpg",
        "sea.jpg",
        "notes.txt",
    ]
    assert [row["status"] for row in rows] == ["ok", "ok", "cannot_judge", "cannot_judge"]
    assert [row["verdict"] for row in rows] == ["benign", "malignant", "", ""]
    assert [row["reasons"] for row in rows] == ["", "", "not_a_lesion", "unsupported_format"]


def test_hidden_files_masks_and_thumbnails_are_reported_and_not_scored(
    tiny_model, photos, tmp_path, capsys
):
    for name in ("masks/a.png", "deeper/thumbs/a.jpg", "a_segmentation.png", "__MACOSX/a.jpg"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(painter.encoded(painter.lesion(), "PNG"))
    _, rows = run(tiny_model, tmp_path / "scores.csv", photos)
    assert len(rows) == 4
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("not scored, ")]
    assert [line.partition(": ")[0].removeprefix("not scored, ") for line in lines] == [
        "hidden or system file, or broken link",
        "masks, by their name",
        "thumbnails, by their folder",
    ]
    assert [line.partition(": ")[2][0] for line in lines] == ["3", "2", "1"]
    assert str(photos / "masks" / "a.png") in lines[1]


def test_photos_in_a_linked_folder_are_scored(tiny_model, photos, tmp_path):
    (tmp_path / "linked").symlink_to(photos)
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "more").symlink_to(photos)
    _, rows = run(tiny_model, tmp_path / "scores.csv", tmp_path / "top")
    assert [Path(row["path"]).name for row in rows][:2] == ["a_benign.png", "b_malignant.jpg"]


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
def test_a_table_is_read_with_and_without_a_byte_order_mark(tiny_model, photos, tmp_path, mark):
    table = photos / "photos.csv"
    table.write_text(f"{mark}path,note\na_benign.png,left arm\n{photos}/b_malignant.jpg,back\n")
    out = tmp_path / "scores.csv"
    assert main(["--model", str(tiny_model), "--out", str(out), "--table", str(table)]) == 0
    with out.open(newline="") as file:
        assert [row["verdict"] for row in csv.DictReader(file)] == ["benign", "malignant"]


def test_a_probability_is_given_only_with_a_verdict(tiny_model, photos, tmp_path):
    _, rows = run(tiny_model, tmp_path / "scores.csv", photos)
    benign, malignant, *unjudged = [row["probability"] for row in rows]
    assert 0 <= float(benign) < 0.5 <= float(malignant) <= 1
    assert unjudged == ["", ""]


@pytest.mark.parametrize(("name", "data", "code"), [(n, d, c) for n, d, _, c in bad_files.TABLE])
def test_a_bad_file_cannot_be_judged_and_the_next_file_is_judged(
    tiny_model, tmp_path, capfd, name, data, code
):
    bad, good = tmp_path / "bad.jpg", tmp_path / "good.jpg"
    bad.write_bytes(data)
    good.write_bytes(painter.encoded(painter.lesion()))
    status, (first, second) = run(tiny_model, tmp_path / "scores.csv", bad, good)
    assert status == 0
    assert first == {
        "path": str(bad),
        "status": "cannot_judge",
        "verdict": "",
        "probability": "",
        "reasons": code,
    }
    assert second["verdict"] == "malignant"
    assert str(bad) in capfd.readouterr().err


def test_a_missing_path_gets_a_row_and_is_reported(tiny_model, photos, tmp_path, capfd):
    missing = tmp_path / "nowhere.jpg"
    status, rows = run(tiny_model, tmp_path / "scores.csv", missing, photos / "a_benign.png")
    assert status == 0
    assert (rows[0]["status"], rows[0]["reasons"]) == ("cannot_judge", "missing")
    assert f"{missing}: There is no such file" in capfd.readouterr().err


def test_the_exit_code_is_1_if_no_file_is_a_photo(tiny_model, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a photo")
    status, rows = run(tiny_model, tmp_path / "scores.csv", text, tmp_path / "nowhere")
    assert status == 1
    assert len(rows) == 2


def test_the_exit_code_is_0_if_a_photo_shows_something_else(tiny_model, photos, tmp_path):
    assert run(tiny_model, tmp_path / "scores.csv", photos / "deeper" / "sea.jpg")[0] == 0


def test_a_pipe_is_unreadable_and_does_not_block(tiny_model, photos, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    _, rows = run(tiny_model, tmp_path / "scores.csv", tmp_path / "pipe", photos / "a_benign.png")
    assert [row["reasons"] for row in rows] == ["unreadable", ""]


def test_a_file_given_twice_is_judged_once(tiny_model, photos, tmp_path):
    _, rows = run(tiny_model, tmp_path / "scores.csv", photos / "a_benign.png", photos)
    assert [Path(row["path"]).name for row in rows].count("a_benign.png") == 1
    assert len(rows) == 4


def test_a_table_written_into_the_folder_of_photos_is_not_scored(tiny_model, photos):
    run(tiny_model, photos / "scores.csv", photos)
    _, rows = run(tiny_model, photos / "scores.csv", photos)
    assert len(rows) == 4


def test_a_file_name_that_is_not_utf8_is_written_byte_for_byte(tiny_model, tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    try:
        Path(os.fsdecode(name)).write_bytes(painter.encoded(painter.lesion()))
    except OSError:
        pytest.skip("this file system only accepts names in UTF-8")
    out = tmp_path / "scores.csv"
    assert main(["--model", str(tiny_model), "--out", str(out), os.fsdecode(name)]) == 0
    assert name + b",ok,malignant," in out.read_bytes()


BAD_ARGUMENTS = [
    ("no path", ["--model", "{model}", "--out", "{out}"]),
    ("no model", ["--out", "{out}", "photo.jpg"]),
    ("no table", ["--model", "{model}", "photo.jpg"]),
    ("an unknown option", ["--model", "{model}", "--out", "{out}", "--fast", "photo.jpg"]),
]


@pytest.mark.parametrize(("name", "arguments"), BAD_ARGUMENTS, ids=[n for n, _ in BAD_ARGUMENTS])
def test_wrong_arguments_exit_with_2(tiny_model, tmp_path, name, arguments):
    filled = [a.format(model=tiny_model, out=tmp_path / "scores.csv") for a in arguments]
    with pytest.raises(SystemExit) as exit_info:
        main(filled)
    assert exit_info.value.code == 2


def test_an_unusable_model_exits_with_1_and_does_not_change_an_older_table(
    photos, tmp_path, capsys
):
    out, model = tmp_path / "scores.csv", tmp_path / "model.h5"
    out.write_text("older")
    model.write_bytes(b"not HDF5")
    assert main(["--model", str(model), "--out", str(out), str(photos)]) == 1
    assert "not an HDF5 file" in capsys.readouterr().err
    assert out.read_text() == "older"


def test_scoring_does_not_import_tensorflow(tiny_model, photos, tmp_path):
    out = tmp_path / "scores.csv"
    code = (
        "import sys; from training.score import main; "
        f"status = main(['--model', {str(tiny_model)!r}, '--out', {str(out)!r}, {str(photos)!r}]); "
        "sys.exit(status or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
