"""Reading published sets' tables, under every name and in every format in circulation."""

from collections.abc import Callable
from pathlib import Path

import pytest
from published_sets import HAM, METADATA, MILK_METADATA, MILK_TRUTH, TRUTH, by_name, command, put
from published_sets import published as paint

from training.datasets.demographics import describe_patients
from training.datasets.manifest import read_manifest
from training.prepare import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return paint(tmp_path / "data")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def rewrite(path: Path, change: Callable[[str], str], name: str | None = None) -> None:
    """Change the text of a file, and rename it if a name is given."""
    text = path.read_text()
    path.unlink()
    (path.parent / (name or path.name)).parent.mkdir(parents=True, exist_ok=True)
    (path.parent / (name or path.name)).write_bytes(change(text).encode())


def unchanged(text: str) -> str:
    return text


def tab_separated(text: str) -> str:
    lines = text.splitlines()
    return "\n".join("\t".join(f'"{cell}"' for cell in line.split(",")) for line in lines)


def with_lesion_ids(text: str) -> str:
    """The SIIM table of the ISIC Archive, with a further column for the lesion."""
    header, *lines = text.splitlines()
    head = header.replace("patient_id,", "patient_id,lesion_id,")
    cells = [line.split(",") for line in lines]
    return "\n".join([head, *(",".join([*c[:2], f"IL_{i}", *c[2:]]) for i, c in enumerate(cells))])


VARIANTS = [
    ("HAM10000 from Dataverse", "ham10000", HAM, tab_separated, "HAM10000_metadata.tab"),
    ("HAM10000 without suffix", "ham10000", HAM, unchanged, "HAM10000_metadata"),
    ("HAM10000 in a folder", "ham10000", HAM, unchanged, "dataverse_files/HAM10000_metadata.csv"),
    ("HAM10000 in lower case", "ham10000", HAM, unchanged, "ham10000_metadata.csv"),
    (
        "SIIM from the archive",
        "siim2020",
        "train.csv",
        unchanged,
        "ISIC_2020_Training_GroundTruth.csv",
    ),
    (
        "SIIM from the archive, second version",
        "siim2020",
        "train.csv",
        with_lesion_ids,
        "ISIC_2020_Training_GroundTruth_v2.csv",
    ),
    (
        "a collection from the archive's website",
        "isic_archive",
        "metadata.csv",
        unchanged,
        "bcn20000_metadata_2024-05-01.csv",
    ),
    ("Excel's byte order mark", "ham10000", HAM, lambda text: "\ufeff" + text, None),
    ("Excel's semicolons", "isic2019", METADATA, lambda text: text.replace(",", ";"), None),
    ("Windows line endings", "isic2019", TRUTH, lambda t: t.replace("\n", "\r\n"), None),
    ("spaces around commas", "milk10k", MILK_METADATA, lambda t: t.replace(",", " , "), None),
    ("blank lines at the end", "pad_ufes", "metadata.csv", lambda text: text + "\n\n", None),
    ("a table in a folder of its own", "milk10k", MILK_TRUTH, unchanged, f"tables/{MILK_TRUTH}"),
]


@pytest.mark.parametrize(
    ("source", "table", "change", "name"), [v[1:] for v in VARIANTS], ids=[v[0] for v in VARIANTS]
)
def test_every_published_variant_of_a_table_gives_the_same_manifest(
    data: Path, out: Path, source: str, table: str, change: Callable[[str], str], name: str | None
) -> None:
    main(command(data, out, source))
    before = by_name(out)
    rewrite(data / source / table, change, name)
    assert main(command(data, out, source)) == 0
    assert by_name(out) == before


def test_ham10000_can_be_read_from_the_tables_of_the_isic_2018_challenge(
    data: Path, out: Path
) -> None:
    main(command(data, out, "ham10000"))
    before = by_name(out)
    folder = data / "ham10000"
    (folder / HAM).unlink()
    for name, text in (
        (
            "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv",
            "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n"
            "ISIC_0000101,1.0,0.0,0.0,0.0,0.0,0.0,0.0\nISIC_0000102,1.0,0.0,0.0,0.0,0.0,0.0,0.0\n"
            "ISIC_0000103,0.0,0.0,0.0,1.0,0.0,0.0,0.0\nISIC_0000104,0.0,1.0,0.0,0.0,0.0,0.0,0.0\n",
        ),
        (
            "ISIC2018_Task3_Training_LesionGroupings.csv",
            "image,lesion_id,diagnosis_confirm_type\nISIC_0000101,HAM_1,histo\n"
            "ISIC_0000102,HAM_1,histo\nISIC_0000103,HAM_2,histo\nISIC_0000104,HAM_3,histo\n",
        ),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    assert main(command(data, out, "ham10000")) == 0
    assert by_name(out) == before


def test_several_tables_of_the_archive_in_a_folder_are_an_error(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = (data / "isic_archive" / "metadata.csv").read_text()
    (data / "isic_archive" / "metadata.csv").unlink()
    for name in ("a_metadata_2024-05-01.csv", "b_metadata_2024-05-01.csv"):
        put(data / "isic_archive" / name, table)
    assert main(command(data, out, "isic_archive")) == 1
    assert "expected one ISIC Archive table, found a_metadata" in capsys.readouterr().err


def test_ham10000s_own_table_is_preferred_to_that_of_the_challenge(data: Path, out: Path) -> None:
    truth = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\nISIC_0000101,1,0,0,0,0,0,0\n"
    put(data / "ham10000" / "ISIC2018_Task3_Training_GroundTruth.csv", truth)
    assert main(command(data, out, "ham10000")) == 0
    assert len(by_name(out)) == 4


@pytest.mark.parametrize(
    ("source", "table", "name"),
    [
        ("ham10000", HAM, "HAM10000_metadata.tab"),
        ("siim2020", "train.csv", "ISIC_2020_Training_GroundTruth_v2.csv"),
        ("milk10k", MILK_METADATA, None),
    ],
)
def test_age_and_sex_are_read_from_every_published_table(
    data: Path, out: Path, source: str, table: str, name: str | None
) -> None:
    rewrite(
        data / source / table, tab_separated if name and name.endswith(".tab") else unchanged, name
    )
    main(command(data, out, source))
    for described in describe_patients(read_manifest(out / "manifest.csv")):
        assert described["age"] == "40 to 59" and described["sex"] == "male"


def test_milk10ks_skin_tones_and_sites_are_read(data: Path, out: Path) -> None:
    main(command(data, out, "milk10k"))
    rows = read_manifest(out / "manifest.csv")
    patients = {
        Path(row.path).stem: patient
        for row, patient in zip(rows, describe_patients(rows), strict=True)
    }
    assert patients["ISIC_0000801"]["skin tone"] == "MILK10k tone 3"
    assert patients["ISIC_0000803"]["skin tone"] == "MILK10k tone 0-2 (darkest)"
    assert [patients[f"ISIC_000080{n}"].get("region") for n in (1, 3, 5)] == [
        "trunk",
        "hands and feet",
        None,
    ]
    assert "skin tone" not in patients["ISIC_0000805"]
