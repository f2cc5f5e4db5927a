"""Downloading published sets by name with their hosts' clients (``--fetch``)."""

import csv
import stat
import sys
from pathlib import Path

import painter
import pytest

from training.prepare import main

# Replaces the ISIC Archive's client, because tests have no internet access. Like isic-cli 12, it
# writes images and their table into the folder given by its last argument.
FAKE_CLIENT = """#!{python}
import shutil, sys
from pathlib import Path
assert sys.argv[1:5] == ["image", "download", "--collections", "65,70"], sys.argv
out = Path(sys.argv[5])
for number in (1, 2):
    shutil.copy(Path({images!r}) / f"{{number}}.jpg", out / f"ISIC_000000{{number}}.jpg")
(out / "metadata.csv").write_text(
    "isic_id,diagnosis_1,diagnosis_3\\n"
    "ISIC_0000001,Benign,Nevus\\nISIC_0000002,Malignant,Basal cell carcinoma\\n"
)
"""


def install(folder: Path, script: str) -> None:
    program = folder / "isic"
    program.write_text(script)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def program_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the only one on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_dry_run_prints_the_terms_and_the_commands_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    names = ["--fetch", "siim2020", "--fetch", "ham10000", "--fetch", "isic2019"]
    assert main([*names, "--dry-run", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    folder = out / "downloads"
    assert f"would run: isic image download --collections 65,70 {folder}/isic-65-70" in lines
    dataset = "kmader/skin-cancer-mnist-ham10000"
    assert f"would run: kaggle datasets download {dataset} --unzip -p {folder}/ham10000" in lines
    assert "isic2019: terms: https://challenge.isic-archive.com/data/#2019" in lines
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--accept-terms"),
        (["--accept-terms"], "expected the program isic on the PATH"),
    ],
    ids=["terms not accepted", "no client"],
)
def test_missing_consent_or_client_is_reported_in_one_line(
    program_folder: Path,
    tmp_path: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--fetch", "isic2019", *options, "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("prepare: isic2019: ") and message in line


def test_a_failing_client_is_reported(
    program_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(program_folder, "#!/bin/sh\nexit 3\n")
    arguments = ["--fetch", "isic2019", "--accept-terms", "--out", str(tmp_path / "out")]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "expected isic to download metadata.csv, but it ended with status 3" in error


def test_a_download_is_prepared_and_not_fetched_again(program_folder: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number, colour in ((1, painter.PALE), (2, painter.DARK)):
        pixels = painter.lesion(number, colour, 160)
        (images / f"{number}.jpg").write_bytes(painter.encoded(pixels))
    install(program_folder, FAKE_CLIENT.format(python=sys.executable, images=str(images)))
    arguments = ["--fetch", "isic2019", "--fetch", "siim2020", "--accept-terms"]
    arguments += ["--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    with (tmp_path / "out" / "manifest.csv").open(newline="") as file:
        prepared = {(row["source"], row["diagnosis"]) for row in csv.DictReader(file)}
    assert prepared == {("isic_archive", "nevus"), ("isic_archive", "bcc")}
    install(program_folder, "#!/bin/sh\nexit 3\n")
    assert main(arguments) == 0


def test_a_set_cannot_be_both_fetched_and_given_as_a_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["--fetch", "isic2019", "--isic-archive", "x", "--out", "y"])
    assert exit_info.value.code == 2
    assert "or --isic-archive" in capsys.readouterr().err
