"""``training.prepare``: which images it keeps, and their labels, groups and splits."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import bad_files
import numpy as np
import painter
import pytest
from PIL import Image
from published_sets import (
    DUPLICATES,
    HAM,
    METADATA,
    MILK_METADATA,
    TRUTH,
    by_name,
    command,
    jpeg,
    manifest,
    picture,
    published,
    put,
)
from serving import ROOT

from training.datasets import sources
from training.datasets.splits import assign
from training.prepare import main

SHARED = ROOT.parent / "shared" / "data"
needs_shared_data = pytest.mark.skipif(
    not SHARED.is_dir() and "CI" not in os.environ, reason="no ../shared/data here"
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return published(tmp_path / "data")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_every_published_set_is_read_with_its_labels_and_groups(data: Path, out: Path) -> None:
    assert main(command(data, out)) == 0
    prepared = {
        name: (row["source"], row["diagnosis"], row["malignant"], row["group"])
        for name, row in by_name(out).items()
    }
    assert prepared == {
        "ISIC_0000101": ("ham10000", "melanoma", "1", "ham10000:HAM_1"),
        "ISIC_0000102": ("ham10000", "melanoma", "1", "ham10000:HAM_1"),
        "ISIC_0000103": ("ham10000", "akiec", "1", "ham10000:HAM_2"),
        "ISIC_0000104": ("ham10000", "nevus", "0", "ham10000:HAM_3"),
        "ISIC_0000201": ("isic2019", "scc", "1", "isic2019:MSK4_1"),
        "ISIC_0000202": ("isic2019", "bkl", "0", "isic2019:ISIC_0000202"),
        # A lesion of HAM10000 that is also in ISIC 2019 keeps its group.
        "ISIC_0000203": ("isic2019", "nevus", "0", "ham10000:HAM_3"),
        "ISIC_0000301": ("siim2020", "unknown", "0", "siim2020:IP_1"),
        "ISIC_0000302": ("siim2020", "melanoma", "1", "siim2020:IP_1"),
        "ISIC_0000303": ("siim2020", "bkl", "0", "siim2020:IP_2"),
        "PAT_1_1_1": ("pad_ufes", "akiec", "1", "pad_ufes:PAT_1"),
        "PAT_1_2_2": ("pad_ufes", "nevus", "0", "pad_ufes:PAT_1"),
        "PAT_2_3_3": ("pad_ufes", "bcc", "1", "pad_ufes:PAT_2"),
        "a": ("folders", "unknown", "0", "folders:benign/a.jpg"),
        "b": ("folders", "unknown", "1", "folders:malignant/deeper/b.jpg"),
    }


def test_both_photos_of_a_milk10k_lesion_get_their_kind_and_the_same_group(
    data: Path, out: Path
) -> None:
    assert main(command(data, out, "milk10k")) == 0
    columns = ("kind", "diagnosis", "malignant", "group")
    assert {name: tuple(row[c] for c in columns) for name, row in by_name(out).items()} == {
        "ISIC_0000801": ("clinical", "melanoma", "1", "milk10k:IL_11"),
        "ISIC_0000802": ("dermoscopic", "melanoma", "1", "milk10k:IL_11"),
        "ISIC_0000803": ("clinical", "unknown", "1", "milk10k:IL_12"),
        "ISIC_0000804": ("dermoscopic", "unknown", "1", "milk10k:IL_12"),
        "ISIC_0000805": ("clinical", "unknown", "0", "milk10k:IL_13"),
    }


def test_the_10000_melanoma_images_are_dermoscopic_and_all_malignant_ones_are_melanomas(
    data: Path, out: Path
) -> None:
    assert main(command(data, out, "melanoma10k")) == 0
    rows = {row["group"]: (row["kind"], row["diagnosis"]) for row in manifest(out)}
    assert rows == {
        "melanoma10k:train/benign/melanoma_1.jpg": ("dermoscopic", "unknown"),
        "melanoma10k:train/malignant/melanoma_2.jpg": ("dermoscopic", "melanoma"),
        "melanoma10k:test/malignant/melanoma_2.jpg": ("dermoscopic", "melanoma"),
    }


def test_each_own_folder_is_a_source_with_its_name_and_kind(
    data: Path, out: Path, tmp_path: Path
) -> None:
    for number, folder in enumerate((tmp_path / "ward", tmp_path / "clinic" / "scope")):
        put(folder / "benign" / "1.jpg", 950 + number)
        put(folder / "malignant" / "1.jpg", 960 + number)
    own = ["--folders", str(tmp_path / "ward"), "--dermoscopic-folders"]
    assert main([*command(data, out, "folders"), *own, str(tmp_path / "clinic" / "scope")]) == 0
    assert {(row["source"], row["kind"]) for row in manifest(out)} == {
        ("folders", "clinical"),
        ("ward", "clinical"),
        ("scope", "dermoscopic"),
    }


def test_two_folders_with_the_same_name_are_an_error(
    data: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "other" / "folders" / "benign" / "1.jpg", 950)
    put(tmp_path / "other" / "folders" / "malignant" / "1.jpg", 951)
    own = ["--folders", str(tmp_path / "other" / "folders")]
    assert main([*command(data, out, "folders"), *own]) == 1
    assert "sources with different names, found 2 named folders" in capsys.readouterr().err


def test_photos_without_a_lesion_are_split_in_halves_by_patient(out: Path, tmp_path: Path) -> None:
    for number in range(12):
        put(
            tmp_path / "skin_other" / "others" / f"Monkeypox-NM{number // 2}_0{number % 2}.jpg",
            number,
        )
    assert main(["--not-lesion", str(tmp_path / "skin_other"), "--out", str(out)]) == 0
    rows = manifest(out, "not_lesion.csv")
    assert Counter(row["split"] for row in rows) == {"train": 6, "test": 6}
    splits = {(row["group"], row["split"]) for row in rows}
    assert len(splits) == 6 and {row["kind"] for row in rows} == {"clinical"}


def test_the_counts_are_printed_by_kind_and_then_by_source(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(command(data, out, "milk10k", "pad_ufes", "ham10000"))
    lines = capsys.readouterr().out.splitlines()
    names = [line[:24].strip() for line in lines[lines.index("") :]]
    assert names[names.index("clinical") :][:7] == [
        "clinical",
        "dermoscopic",
        "ham10000 dermoscopic",
        "pad_ufes clinical",
        "milk10k clinical",
        "milk10k dermoscopic",
        "all",
    ]


def test_a_source_with_only_one_class_gives_a_warning(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = data / "ham10000" / HAM
    table.write_text(table.read_text().replace("mel", "nv").replace("akiec", "nv"))
    assert main(command(data, out, "ham10000", "pad_ufes")) == 0
    warnings = [x for x in capsys.readouterr().err.splitlines() if x.startswith("WARNING")]
    assert len(warnings) == 1 and "all 4 images of ham10000 are benign" in warnings[0]


def test_a_download_of_the_archives_client_can_be_read(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(data, out, "isic_archive", "siim2020")) == 0
    rows = {name: row for name, row in by_name(out).items() if row["source"] == "isic_archive"}
    assert {n: (r["diagnosis"], r["malignant"], r["group"]) for n, r in rows.items()} == {
        # Patient ids of the archive are those of SIIM.
        "ISIC_0000701": ("melanoma", "1", "siim2020:IP_1"),
        "ISIC_0000702": ("akiec", "1", "isic_archive:IL_2"),
        "ISIC_0000703": ("nevus", "0", "isic_archive:ISIC_0000703"),
        "ISIC_0000704": ("unknown", "1", "isic_archive:ISIC_0000704"),
        "ISIC_0000705": ("scc", "1", "isic_archive:IL_5"),
    }
    printed = capsys.readouterr().out
    assert "left out of isic_archive, no definite diagnosis: 2 images" in printed
    assert "left out of isic_archive, not a picture of one lesion: 1 image\n" in printed


def test_the_manifest_has_its_columns_and_absolute_paths_of_existing_files(
    data: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    main(command(Path("data"), out))
    header = (out / "manifest.csv").read_text().splitlines()[0]
    assert header == "path,source,kind,diagnosis,malignant,group,split"
    assert all(Path(r["path"]).is_absolute() and Path(r["path"]).exists() for r in manifest(out))


def test_any_subset_of_the_sets_can_be_used(data: Path, out: Path) -> None:
    assert main(command(data, out, "pad_ufes")) == 0
    assert {row["source"] for row in manifest(out)} == {"pad_ufes"}


def test_photographs_without_a_lesion_are_not_in_the_manifest_of_lesions(
    data: Path, out: Path
) -> None:
    assert main(command(data, out, "ham10000", "not_lesion")) == 0
    assert {row["source"] for row in manifest(out)} == {"ham10000"}
    others = manifest(out, "not_lesion.csv")
    assert {(row["source"], row["malignant"], row["group"]) for row in others} == {
        ("not_lesion", "0", "not_lesion:cat"),
        ("not_lesion", "0", "not_lesion:dog"),
    }


def test_adding_a_folder_of_other_photographs_does_not_change_the_split_of_the_first(
    data: Path, out: Path, tmp_path: Path
) -> None:
    def splits() -> dict[str, str]:
        return {row["group"]: row["split"] for row in manifest(out, "not_lesion.csv")}

    for number in range(9):
        put(data / "not_lesion" / f"fish_{number}.jpg", 620 + number)
        put(tmp_path / "planets" / f"{number}.jpg", 640 + number)
    first = command(data, out, "not_lesion")
    assert main(first) == 0
    before = splits()
    assert main([*first, f"--not-lesion={tmp_path / 'planets'}"]) == 0
    after = splits()
    assert {group: after[group] for group in before} == before
    assert {group.partition(":")[0] for group in after} == {"not_lesion", "planets"}


def test_missing_and_unlisted_images_are_counted_and_do_not_stop_the_run(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = data / "siim2020" / "jpeg" / "train"
    (images / "ISIC_0000303.jpg").unlink()
    put(images / "ISIC_7777777.jpg", 7)
    put(images / "._ISIC_0000301.jpg", "a metadata file of macOS")
    assert main(command(data, out, "siim2020")) == 0
    counts = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("siim2020"))
    # listed, benign, malignant, present, absent, unlisted
    assert counts.split()[1:] == ["3", "2", "1", "2", "1", "1"]
    assert set(by_name(out)) == {"ISIC_0000301", "ISIC_0000302"}


def test_only_the_first_of_images_with_equal_pixels_is_kept(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = picture(501)
    benign = data / "folders" / "benign"
    image.save(benign / "a.png")
    image.save(benign / "z.webp", lossless=True)
    (benign / "a.jpg").unlink()
    assert main(command(data, out, "folders")) == 0
    assert set(by_name(out)) == {"a", "b"}
    assert "duplicates dropped: 1 (folders 1)" in capsys.readouterr().out


def test_copies_labelled_both_benign_and_malignant_are_all_dropped(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(data / "folders" / "malignant" / "c.jpg", 501)
    assert main(command(data, out, "folders")) == 0
    assert set(by_name(out)) == {"b"}
    assert "copies have different labels: 2 (folders 2)" in capsys.readouterr().out


def test_listed_duplicates_are_dropped_and_their_patients_are_joined(data: Path, out: Path) -> None:
    put(
        data / "siim2020" / DUPLICATES,
        "image_name_1,image_name_2\nISIC_0000301,ISIC_0000303\nISIC_0000302,ISIC_9999999\n",
    )
    put(
        data / "siim2020" / "train.csv",
        (data / "siim2020" / "train.csv").read_text()
        + "ISIC_0000304,IP_2,male,50,back,nevus,benign,0\n",
    )
    put(data / "siim2020" / "jpeg" / "train" / "ISIC_0000304.jpg", 304)
    main(command(data, out, "siim2020"))
    assert set(by_name(out)) == {"ISIC_0000301", "ISIC_0000302", "ISIC_0000304"}
    assert by_name(out)["ISIC_0000304"]["group"] == by_name(out)["ISIC_0000301"]["group"]


def test_images_with_the_same_archive_name_in_two_sets_are_duplicates(
    data: Path, out: Path
) -> None:
    smaller = picture(101).resize((90, 90))
    put(data / "folders" / "malignant" / "ISIC_0000101_downsampled.jpg", jpeg(smaller))
    main(command(data, out))
    assert "ISIC_0000101" in by_name(out)
    assert "ISIC_0000101_downsampled" not in by_name(out)


def test_near_duplicates_share_a_group_and_other_pictures_do_not(data: Path, out: Path) -> None:
    changes: dict[str, Callable[[Image.Image], Image.Image]] = {
        "smaller": lambda image: image.resize((120, 120)),
        "brighter": lambda image: image.point(lambda value: min(255, int(value * 1.15) + 5)),
        "cropped": lambda image: image.crop((1, 1, 159, 159)),
    }
    for seed in range(8):
        put(data / "folders" / "benign" / f"{seed}.jpg", seed)
        for name, change in changes.items():
            put(data / "folders" / "benign" / f"{seed}-{name}.jpg", jpeg(change(picture(seed))))
    main(command(data, out, "folders"))
    rows = by_name(out)
    for seed in range(8):
        assert {rows[f"{seed}-{name}"]["group"] for name in changes} == {rows[f"{seed}"]["group"]}
    assert len({rows[f"{seed}"]["group"] for seed in range(8)}) == 8


def test_pictures_that_are_only_coarsely_similar_are_not_near_duplicates(
    data: Path, out: Path
) -> None:
    coarse = np.asarray(picture(1, side=6), float)
    for seed in (2, 3):
        detail = np.asarray(picture(seed, side=20), float) - 128
        mixed = np.clip(coarse * 0.8 + detail * 0.1 + 20, 0, 255).astype(np.uint8)
        put(data / "folders" / "benign" / f"{seed}.jpg", jpeg(Image.fromarray(mixed)))
    main(command(data, out, "folders"))
    assert by_name(out)["2"]["group"] != by_name(out)["3"]["group"]


def many_groups() -> list[tuple[str, tuple[str, str]]]:
    """2,000 images of 900 groups in two sources and five diagnoses, three of them rare."""
    random = np.random.default_rng(3)
    diagnoses = ("nevus", "melanoma", "bcc", "df", "vasc")
    images = []
    for number in range(900):
        source = ("ham10000", "siim2020")[number % 2]
        for _ in range(int(random.integers(1, 4))):
            diagnosis = diagnoses[random.choice(5, p=(0.8, 0.1, 0.04, 0.03, 0.03))]
            images.append((f"{source}:{number}", (source, diagnosis)))
    return images


def test_each_source_and_diagnosis_is_split_70_15_15() -> None:
    images = many_groups()
    splits = assign([group for group, _ in images], [stratum for _, stratum in images], seed=0)
    totals = Counter(stratum for _, stratum in images)
    counts = Counter((stratum, splits[group]) for group, stratum in images)
    for stratum, total in totals.items():
        for split, share in (("train", 0.70), ("val", 0.15), ("test", 0.15)):
            assert abs(counts[stratum, split] - share * total) <= 1 + 0.02 * total, (stratum, split)


def test_the_split_depends_on_the_seed_and_not_on_the_order() -> None:
    images = many_groups()
    groups, strata = zip(*images, strict=True)
    from_reversed = assign(groups[::-1], strata[::-1], seed=0)
    assert from_reversed == assign(groups, strata, seed=0)
    assert from_reversed != assign(groups, strata, seed=1)


def test_the_split_is_the_same_as_in_every_earlier_version() -> None:
    # Test images of trained models must stay test images, so never change the expected letters.
    names = [f"siim2020:IP_{number}" for number in range(24) for _ in range(1 + number % 3)]
    strata = [("siim2020", ("nevus", "melanoma")[n % 5 == 0]) for n in range(len(names))]
    splits = assign(names, strata, seed=0)
    assert (
        "".join(splits[f"siim2020:IP_{number}"][1] for number in range(24))
        == "eeerrrrrarrrrrraerrarrar"
    )


def test_the_same_images_and_seed_give_the_same_file_in_any_process(data: Path, out: Path) -> None:
    written = []
    for hash_seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-m", "training.prepare", *command(data, out, "siim2020", "folders")],
            check=True,
            capture_output=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        written.append((out / "manifest.csv").read_bytes())
    assert written[0] == written[1]


def replace(path: Path, old: str, new: str) -> None:
    """Replace a text in a file, which must contain it."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


WRONG_INPUT = [
    ("a missing folder", "ham10000", lambda d: d.rename(d.with_name("moved")), "ham1000"),
    ("a missing table", "siim2020", lambda d: (d / "train.csv").unlink(), "expected train.csv"),
    ("another set", "pad_ufes", lambda d: (d / "metadata.csv").rename(d / HAM), "metadata.csv"),
    ("a missing column dx", "ham10000", lambda d: replace(d / HAM, ",dx,", ",x,"), "missing dx"),
    ("a missing column SCC", "isic2019", lambda d: replace(d / TRUTH, "SCC", "S"), "missing SCC"),
    ("no lesion ids", "isic2019", lambda d: replace(d / METADATA, "lesion_id", "l"), "lesion_id"),
    (
        "an unknown diagnosis",
        "ham10000",
        lambda d: replace(d / HAM, "akiec", "odd"),
        "'odd'; expected",
    ),
    (
        "no class",
        "isic2019",
        lambda d: replace(d / TRUTH, "202,0,0,0,0,1", "202,0,0,0,0,0"),
        "202",
    ),
    ("a wrong target", "siim2020", lambda d: replace(d / "train.csv", "nant,1", "nant,0"), "302"),
    (
        "a truncated line",
        "ham10000",
        lambda d: replace(d / HAM, ",nv,histo,50,male,back", ""),
        "line 5",
    ),
    ("a table in Latin-1", "ham10000", lambda d: (d / HAM).write_bytes(b"\xe9,\n"), "UTF-8"),
    (
        "a table of an older client",
        "isic_archive",
        lambda d: replace(d / "metadata.csv", "diagnosis_1", "benign_malignant"),
        "missing diagnosis_1",
    ),
    (
        "an unknown class",
        "isic_archive",
        lambda d: replace(d / "metadata.csv", "45,Malignant,Merkel", "45,Evil,Merkel"),
        "704: diagnosis_1 'Evil'",
    ),
    (
        "a lesion missing from the table",
        "milk10k",
        lambda d: replace(d / MILK_METADATA, "IL_13", "IL_99"),
        "'IL_99'; expected one listed in MILK10k_Training_GroundTruth.csv",
    ),
    (
        "an unknown kind of photo",
        "milk10k",
        lambda d: replace(d / MILK_METADATA, "dermoscopic,ISIC_0000802", "x-ray,ISIC_0000802"),
        "image_type 'x-ray'; expected one of clinical: close-up, dermoscopic",
    ),
    (
        "an image listed twice",
        "ham10000",
        lambda d: replace(d / HAM, "ISIC_0000104", "ISIC_0000103"),
        "found 1 twice: ISIC_0000103",
    ),
    ("no malignant/", "folders", lambda d: (d / "malignant").rename(d / "bad"), "no malignant/"),
    ("empty", "not_lesion", lambda d: [p.unlink() for p in d.iterdir()], "expected not_lesion im"),
]


@pytest.mark.parametrize(
    ("source", "damage", "message"), [w[1:] for w in WRONG_INPUT], ids=[w[0] for w in WRONG_INPUT]
)
def test_wrong_input_is_reported_in_one_line(
    data: Path,
    out: Path,
    source: str,
    damage: Callable[[Path], object],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(data / source)
    assert main(command(data, out, source)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("prepare: ") and message in line and "expected" in line
    assert str(data / source) in line
    assert not list(out.glob("*"))


def test_a_folder_with_none_of_the_listed_images_is_an_error(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "siim2020" / "jpeg").rename(data / "elsewhere")
    assert main(command(data, out, "siim2020")) == 1
    assert "none of the 3 images that its table lists" in capsys.readouterr().err


def test_out_must_be_a_folder(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "file", "")
    assert main(command(data, tmp_path / "file", "folders")) == 2
    assert f"{tmp_path / 'file'}: expected a folder" in capsys.readouterr().err


UNREADABLE = [case for case in bad_files.TABLE if case[3] not in ("too_small", "too_many_pixels")]


@pytest.mark.parametrize(("content", "code"), [(c[1], c[3]) for c in UNREADABLE], ids=lambda _: "")
def test_an_unreadable_image_stops_the_run_with_its_path(
    data: Path, out: Path, content: bytes, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = data / "folders" / "benign" / "bad.jpg"
    put(bad, content)
    assert main(command(data, out, "folders")) == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"{bad} ({code.replace('_', ' ')})" in message and "expected undamaged JPEG" in message
    assert not (out / "manifest.csv").exists()


def test_several_unreadable_images_are_reported_together(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(7):
        put(data / "folders" / "benign" / f"bad{number}.jpg", "no photo")
    main(command(data, out, "folders"))
    message = capsys.readouterr().err.splitlines()[-1]
    assert [f"bad{number}.jpg" in message for number in range(7)] == [True] * 5 + [False] * 2
    assert "and 2 more" in message


def test_photos_that_are_too_small_are_left_out_and_reported(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(data / "folders" / "benign" / "tiny.jpg", painter.encoded(painter.lesion(size=32)))
    assert main(command(data, out, "folders")) == 0
    assert set(by_name(out)) == {"a", "b"}
    assert "tiny.jpg (too small)" in capsys.readouterr().out


def test_a_manifest_that_is_being_read_is_replaced_atomically(data: Path, out: Path) -> None:
    main(command(data, out, "folders"))
    before = (out / "manifest.csv").read_text()
    with (out / "manifest.csv").open() as reader:
        main(command(data, out))
        assert reader.read() == before
    assert (out / "manifest.csv").read_text() != before


def test_a_file_name_that_is_not_utf8_is_reported(
    data: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.rename(
        data / "folders" / "benign" / "a.jpg", os.fsencode(data) + b"/folders/benign/\xe9.jpg"
    )
    assert main(command(data, out, "folders")) == 1
    assert "\\xe9.jpg: expected a file name in UTF-8" in capsys.readouterr().err


def test_a_failed_run_does_not_change_an_existing_manifest(data: Path, out: Path) -> None:
    main(command(data, out, "folders"))
    before = (out / "manifest.csv").read_bytes()
    put(data / "folders" / "benign" / "bad.jpg", "no photo")
    assert main(command(data, out, "folders")) == 1
    assert (out / "manifest.csv").read_bytes() == before
    assert {path.name for path in out.iterdir()} == {"manifest.csv", "manifest.html"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x"], "expected at least one of --ham10000"),
        (["--folders", "x"], "--out"),
        (["--folders", "x", "--out", "x", "--seeds", "1"], "--seeds"),
        (["--fold", "x", "--out", "x"], "--fold"),
        (["--folders", "x", "--out", "x", "--seed", "one"], "invalid int"),
    ],
)
def test_wrong_arguments_are_rejected(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err


@needs_shared_data
@pytest.mark.parametrize(
    ("name", "benign", "malignant", "melanoma"),
    [
        ("ham10000", 6827, 1678, 954),
        ("isic2019", 1779, 446, 446),
        ("siim2020", 32542, 584, 584),
        ("pad_ufes", 221, 486, 17),
        ("milk10k", 1768, 3748, 550),
    ],
)
def test_the_real_tables_have_the_published_counts(
    name: str, benign: int, malignant: int, melanoma: int
) -> None:
    records = getattr(sources, f"read_{name}")(SHARED / name).records
    assert Counter(record.malignant for record in records) == {0: benign, 1: malignant}
    assert sum(record.diagnosis == "melanoma" for record in records) == melanoma


@needs_shared_data
def test_the_real_siim_set_has_its_patients_and_listed_duplicates() -> None:
    siim = sources.read_siim2020(SHARED / "siim2020")
    assert len({record.group for record in siim.records}) == 2056
    assert len(siim.duplicates) == 425
    assert sum(record.path is not None for record in siim.records) == 828
