"""The data report that ``training.prepare`` writes, for painted sets with known problems."""

import re
from pathlib import Path

import numpy as np
import painter
import pytest

from training.prepare import main

HAM = "lesion_id,image_id,dx,dx_type,age,sex,localization\n"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on 12 lesions, where malignant photos are larger and their patients older."""
    folder = tmp_path_factory.mktemp("ham")
    table = HAM
    for number in range(12):
        malignant = number % 2
        size = 240 if malignant else 160
        pixels = painter.lesion(number, painter.DARK, size)
        # Each is shifted and rotated differently, so that no two are near-duplicates.
        pixels = np.rot90(np.roll(pixels, number * size // 12, 0), number // 3)
        (folder / f"{number}.jpg").write_bytes(painter.encoded(pixels))
        age, name = ("70", "mel") if malignant else ("30", "nv")
        table += f"HAM_{number},{number},{name},histo,{age},female,back\n"
    (folder / "0.copy.jpg").write_bytes((folder / "0.jpg").read_bytes())
    table += "HAM_copy,0.copy,nv,histo,30,female,back\nHAM_x,absent,nv,histo,30,female,back\n"
    (folder / "HAM10000_metadata.csv").write_text(table)
    out = tmp_path_factory.mktemp("out")
    assert main(["--ham10000", str(folder), "--out", str(out)]) == 0
    return (out / "manifest.html").read_text()


def cells(page: str, first: str) -> list[str]:
    """The text of the other cells in the table row whose first cell is ``first``."""
    row = re.search(rf"<tr><td>{re.escape(first)}</td>(.*?)</tr>", page)
    assert row, first
    return [re.sub("<.*?>", "", cell) for cell in re.findall("<td>(.*?)</td>", row[1])]


def test_the_report_counts_the_images_of_each_source(page: str) -> None:
    # listed, absent, other files, left out, duplicates, contradictory copies, kept, malignant
    assert cells(page, "ham10000") == ["14", "1", "0", "0", "1", "0", "12", "50.0%"]


def test_the_report_marks_a_difference_in_size_between_the_classes(page: str) -> None:
    assert cells(page, "width, pixels")[-1] == "1.00"
    assert '<span class="marked">1.00</span>' in page


def test_the_report_shows_ages_and_sites_of_each_class(page: str) -> None:
    assert cells(page, "under 40") == ["6", "0"]
    assert cells(page, "60 and over") == ["0", "6"]
    assert cells(page, "back") == ["6", "6"]
    assert "Skin tone: not recorded." in page


def test_the_report_shows_that_no_lesion_is_in_two_splits(page: str) -> None:
    assert cells(page, "lesions or patients in more than one split") == ["0"]
    assert cells(page, "pictures with equal pixels in more than one split") == ["0"]


def test_the_report_contains_its_pictures_and_loads_nothing(page: str) -> None:
    sources = re.findall(r'(?:src|href)="(.*?)"', page)
    assert len(sources) >= 12
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)


def test_html_in_a_file_name_is_escaped(tmp_path: Path) -> None:
    benign, malignant = tmp_path / "set" / "benign", tmp_path / "set" / "malignant"
    for folder, name in ((benign, "<i>&.jpg"), (malignant, "b.jpg")):
        folder.mkdir(parents=True)
        colour = painter.PALE if folder == benign else painter.DARK
        (folder / name).write_bytes(painter.encoded(painter.lesion(1, colour, 160)))
    assert main(["--folders", str(tmp_path / "set"), "--out", str(tmp_path)]) == 0
    page = (tmp_path / "manifest.html").read_text()
    assert "&lt;i&gt;&amp;.jpg" in page
    assert "<i>" not in page
