"""Scoring an archive: tables, object stores, several processes, Dask, and interrupted runs."""

import csv
import functools
import http.server
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import painter
import pytest
from no_rights import unreadable
from serving import ROOT, free_port, wait_until

from lens import artifact
from training.score import main
from training.scoring.locations import ArchiveError, find_photos
from training.scoring.workers import COLUMNS, score

DARK = painter.encoded(painter.lesion(size=256))
PALE = painter.encoded(painter.lesion(colour=painter.PALE, size=256))


pytestmark = pytest.mark.usefixtures("converted_once")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.jpg").write_bytes(DARK if number % 2 else PALE)
    return folder


def partial_table(out: Path, model: Path) -> Path:
    return out.with_name(f"{out.name}.{artifact.sha256(model)[:12]}.partial")


def verdicts(out: Path) -> dict[str, str]:
    with out.open(newline="") as file:
        return {Path(row["path"]).name: row["verdict"] for row in csv.DictReader(file)}


# training.score, which kills itself after the third row: a killer outside might come too late.
KILLED_SCORE = """
import os, signal, sys
from training import score
from training.scoring import table
def rows(scored, *_, **__):
    for number, row in enumerate(scored):
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield row
table.tqdm = rows
sys.exit(score.main(sys.argv[1:]))
"""


def test_a_killed_run_is_continued_after_the_rows_it_has_written(
    tiny_model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("older")
    arguments = ["--model", str(tiny_model), "--out", str(out), str(photos)]
    partial = partial_table(out, tiny_model)
    killed = subprocess.run([sys.executable, "-c", KILLED_SCORE, *arguments], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert out.read_text() == "older"
    # This photo was already judged benign. If it were judged again, it would be malignant.
    (photos / "0.jpg").write_bytes(DARK)
    assert main(arguments) == 0
    assert f"3 of 8 files are already in {partial}" in capsys.readouterr().out
    found = verdicts(out)
    assert list(found) == sorted(found) and len(found) == 8
    assert found["0.jpg"] == "benign"
    assert not partial.exists()


# A row left by an interrupted run, for a photo that is malignant, and its verdict after this run.
LEFT_ROWS = [
    ("a complete row", "{path},ok,benign,0.100000,\n", "benign"),
    ("a refusal", "{path},cannot_judge,,,blurred\n", ""),
    ("half a row", "{path},ok,benign,0.1", "malignant"),
    ("half a row that ends with a line break", '{path},ok,benign\n"', "malignant"),
    ("a missing file", "{path},cannot_judge,,,missing\n", "malignant"),
    ("an unreadable file", "{path},cannot_judge,,,unreadable\n", "malignant"),
    ("a file that is not scored now", "elsewhere.jpg,ok,benign,0.1,\n", "malignant"),
]


@pytest.mark.parametrize(
    ("left", "verdict"), [x[1:] for x in LEFT_ROWS], ids=[x[0] for x in LEFT_ROWS]
)
def test_only_complete_rows_of_files_that_could_be_read_are_kept(
    tiny_model: Path, photos: Path, tmp_path: Path, left: str, verdict: str
) -> None:
    out, photo = tmp_path / "scores.csv", photos / "1.jpg"
    text = ",".join(COLUMNS) + "\n" + left.format(path=photo)
    partial_table(out, tiny_model).write_text(text)
    assert main(["--model", str(tiny_model), "--out", str(out), str(photo)]) == 0
    assert verdicts(out) == {"1.jpg": verdict}


def test_a_folder_that_cannot_be_read_is_an_error(photos: Path) -> None:
    closed = photos / "closed"
    closed.mkdir()
    with unreadable(closed), pytest.raises(ArchiveError) as error:
        find_photos([str(photos)], excluded=())
    assert str(error.value) == f"{closed}: cannot be read: Permission denied"


def test_rows_of_another_model_are_not_used(tiny_model: Path, photos: Path, tmp_path: Path) -> None:
    out, photo = tmp_path / "scores.csv", photos / "1.jpg"
    text = ",".join(COLUMNS) + f"\n{photo},ok,benign,0.100000,\n"
    out.with_name("scores.csv.0123456789ab.partial").write_text(text)
    assert main(["--model", str(tiny_model), "--out", str(out), str(photo)]) == 0
    assert verdicts(out) == {"1.jpg": "malignant"}


@pytest.fixture
def expected_table(tiny_model: Path, photos: Path, tmp_path: Path) -> str:
    """The table that one process writes for the photos and a file that is not a photo."""
    (photos / "notes.txt").write_text("taken in May")
    out = tmp_path / "one.csv"
    assert main(["--model", str(tiny_model), "--out", str(out), str(photos)]) == 0
    return out.read_text()


def test_two_processes_write_the_same_table_as_one(
    tiny_model: Path, photos: Path, tmp_path: Path, expected_table: str
) -> None:
    # In a separate process, as users run it: functions for the workers must not be in __main__.
    out = tmp_path / "two.csv"
    arguments = ["--model", str(tiny_model), "--out", str(out), "--processes", "2", str(photos)]
    subprocess.run([sys.executable, "-m", "training.score", *arguments], cwd=ROOT, check=True)
    assert out.read_text() == expected_table


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a Dask scheduler on loopback without workers."""
    pytest.importorskip("distributed")
    port, log = free_port(), tmp_path / "scheduler.log"
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    process = start_dask(log, "scheduler", *arguments)
    wait_until(lambda: "Scheduler at" in log.read_text())
    yield f"tcp://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def start_dask(log: Path, *arguments: str) -> subprocess.Popen:
    with log.open("w") as file:
        command = [sys.executable, "-m", "dask", *arguments]
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)


def test_a_dask_cluster_writes_the_same_table_as_one_process(
    tiny_model: Path, photos: Path, tmp_path: Path, expected_table: str, scheduler: str
) -> None:
    log, out = tmp_path / "worker.log", tmp_path / "cluster.csv"
    worker = start_dask(log, "worker", scheduler, "--nthreads", "1", "--no-dashboard")
    wait_until(lambda: "Registered to" in log.read_text())
    try:
        arguments = ["--model", str(tiny_model), "--out", str(out), "--dask", scheduler]
        assert main([*arguments, str(photos)]) == 0
    finally:
        worker.terminate()
        worker.wait()
    assert out.read_text() == expected_table


def test_a_cluster_without_workers_is_reported(
    tiny_model: Path,
    photos: Path,
    tmp_path: Path,
    scheduler: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--model", str(tiny_model), "--out", str(tmp_path / "scores.csv")]
    assert main([*arguments, "--dask", scheduler, str(photos)]) == 1
    assert f"no worker yet; start one: python -m dask worker {scheduler}" in capsys.readouterr().err


@pytest.fixture
def store(photos: Path) -> Iterator[str]:
    """The URL of the photos on a web server on loopback."""
    pytest.importorskip("aiohttp")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=photos)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_photos_in_a_store_give_the_same_rows_as_in_a_folder(
    tiny_model: Path, photos: Path, tmp_path: Path, expected_table: str, store: str
) -> None:
    out = tmp_path / "scores.csv"
    (photos / ".hidden.jpg").write_bytes(DARK)
    assert main(["--model", str(tiny_model), "--out", str(out), f"{store}/"]) == 0
    assert out.read_text() == expected_table.replace(str(photos), store)


def test_an_object_missing_from_the_store_gets_a_row(
    tiny_model: Path, photos: Path, tmp_path: Path, store: str
) -> None:
    out = tmp_path / "scores.csv"
    arguments = ["--model", str(tiny_model), "--out", str(out)]
    assert main([*arguments, f"{store}/nowhere.jpg", f"{store}/1.jpg"]) == 0
    assert f"{store}/nowhere.jpg,cannot_judge,,,missing\n" in out.read_text()


def test_a_table_may_list_photos_in_its_own_folder_and_in_stores(
    tiny_model: Path, photos: Path, tmp_path: Path, store: str
) -> None:
    table, out = tmp_path / "manifest.csv", tmp_path / "scores.csv"
    table.write_text(f"source,path\npainted,photos/1.jpg\nweb,{store}/2.jpg\n")
    assert main(["--model", str(tiny_model), "--out", str(out), "--table", str(table)]) == 0
    assert verdicts(out) == {"1.jpg": "malignant", "2.jpg": "benign"}


FAILURES = [
    ("an unknown protocol", ["nothing://photos"], "Protocol not known: nothing"),
    ("a store that does not answer", ["ftp://127.0.0.1:1/"], "cannot be opened"),
    ("a missing table", ["--table", "nowhere.csv"], "the table cannot be read"),
    (
        "a table without a column path",
        ["--table", "pyproject.toml"],
        "expected a column named path",
    ),
    (
        "a missing scheduler",
        ["--dask", "tcp://127.0.0.1:1", "x.jpg"],
        "no Dask scheduler",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "message"), [f[1:] for f in FAILURES], ids=[f[0] for f in FAILURES]
)
def test_unusable_tables_and_stores_and_clusters_exit_with_1_and_a_message(
    tiny_model: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("distributed")
    settings = pytest.importorskip("dask.config")
    with settings.set({"distributed.comm.timeouts.connect": "1s"}):
        status = main(["--model", str(tiny_model), "--out", str(tmp_path / "x.csv"), *arguments])
    assert status == 1
    assert message in capsys.readouterr().err


def test_a_worker_does_not_score_with_another_model_than_the_command(tiny_model: Path) -> None:
    with pytest.raises(artifact.InvalidModel, match="expected the file with SHA-256 000000000000"):
        score("photo.jpg", str(tiny_model), "0" * 64)


def test_a_table_that_is_not_csv_exits_with_1_and_a_message(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("path\n" + "x" * (csv.field_size_limit() + 1))
    arguments = ["--model", str(tiny_model), "--out", str(tmp_path / "x.csv")]
    assert main([*arguments, "--table", str(table)]) == 1
    assert "table.csv: expected a CSV table" in capsys.readouterr().err


def test_an_output_path_that_is_a_folder_is_rejected_before_scoring(
    tiny_model: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", str(tiny_model), "--out", str(photos), str(photos)]) == 2
    assert "expected a file to write, got the folder" in capsys.readouterr().err
