"""Published data sets to one manifest with leak-free splits: ``python -m training.prepare``."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from training.datasets import folders, sources
from training.datasets.build import Prepared, prepare, write_manifest
from training.datasets.dicom import without_dicom
from training.datasets.download import SETS, describe, fetch, plan
from training.datasets.keep_splits import EarlierSplits, keep_copies
from training.datasets.manifest import CLINICAL, DERMOSCOPIC, ManifestError, read_manifest
from training.datasets.records import PrepareError, Source
from training.datasets.report import write_data_report
from training.datasets.splits import HALVES
from training.datasets.summary import count, one_class_warnings, summary

READERS: dict[str, tuple[Callable[[Path], Source], str]] = {
    "ham10000": (sources.read_ham10000, "HAM10000: HAM10000_metadata.csv and images"),
    "isic2019": (sources.read_isic2019, "ISIC 2019: ISIC_2019_Training_*.csv and images"),
    "siim2020": (sources.read_siim2020, "SIIM-ISIC 2020: train.csv and JPEG images"),
    "pad_ufes": (sources.read_pad_ufes, "PAD-UFES-20: metadata.csv and images"),
    "milk10k": (
        sources.read_milk10k,
        "MILK10k: MILK10k_Training_{GroundTruth,Metadata}.csv and MILK10k_Training_Input/",
    ),
    "melanoma10k": (
        folders.read_melanoma10k,
        "the set of 10,000 melanoma images: benign/ and malignant/, dermoscopic",
    ),
    "isic_archive": (
        sources.read_isic_archive,
        "any download of the ISIC Archive's client, isic: metadata.csv and images",
    ),
}
FOLDERS = {"folders": CLINICAL, "dermoscopic_folders": DERMOSCOPIC}
"""Options for folders of one's own, and the kind of photo each holds."""


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m training.prepare",
        description="Write OUT/manifest.csv from any of the published data sets: duplicates "
        "dropped; lesions, patients and near-duplicates kept together; split 70/15/15 "
        "(train/val/test) in equal shares of every source and diagnosis. The same images and seed "
        "give the same split on every machine.",
        allow_abbrev=False,
    )
    for name, (_, text) in READERS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, metavar="DIR", help=text)
    for name, kind in FOLDERS.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=Path,
            action="append",
            default=[],
            metavar="DIR",
            help=f"{kind} photos: any folder with benign/ and malignant/, a source named as it; "
            "may be repeated",
        )
    parser.add_argument(
        "--not-lesion",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="photographs of anything but a lesion; written to OUT/not_lesion.csv, each folder "
        "half for fitting and half for testing; may be repeated",
    )
    parser.add_argument(
        "--fetch",
        action="append",
        choices=SETS,
        default=[],
        metavar="NAME",
        help=f"download a set first, into OUT/downloads, and use it: {', '.join(SETS)}; it takes "
        "the client of its host (isic-cli or kaggle); may be repeated",
    )
    parser.add_argument(
        "--accept-terms", action="store_true", help="you have read the terms of what is fetched"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="say what --fetch would run, and do nothing"
    )
    parser.add_argument(
        "--keep-splits",
        type=Path,
        metavar="FILE",
        help="an earlier manifest: its images and groups keep their split, only new ones are "
        "drawn; a group joined from several goes to test before val before train",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument("--seed", type=int, default=0, help="draws the split (default 0)")
    parsed = parser.parse_args(arguments)
    if not any(getattr(parsed, name) for name in [*READERS, *FOLDERS, "not_lesion", "fetch"]):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in [*READERS, *FOLDERS])
        parser.error(
            f"no data set given; expected at least one of {options}, --not-lesion, --fetch"
        )
    parsed.downloads = plan(parsed.fetch, parsed.out / "downloads")
    for download in parsed.downloads:
        if getattr(parsed, download.reader):
            option = f"--{download.reader.replace('_', '-')}"
            parser.error(
                f"--fetch {' '.join(download.names)} takes the place of {option}: give one"
            )
        setattr(parsed, download.reader, download.folder)
    return parsed


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PrepareError(f"{folder}: expected a folder to write to: {error.strerror}") from error


def _read_sources(parsed: argparse.Namespace) -> tuple[list[Source], list[Source]]:
    """The sources of lesions, and those of photos that show none."""
    lesions = [
        reader(getattr(parsed, name))
        for name, (reader, _) in READERS.items()
        if getattr(parsed, name)
    ]
    for option, kind in FOLDERS.items():
        lesions += [folders.read_folders(folder, kind) for folder in getattr(parsed, option)]
    others = [folders.read_not_lesion(folder) for folder in parsed.not_lesion]
    for name, times in Counter(source.name for source in lesions + others).items():
        if times > 1:
            raise PrepareError(f"expected sources of different names, found {times} named {name}")
    return lesions, others


def _read_earlier(path: Path | None) -> EarlierSplits:
    try:
        return EarlierSplits(read_manifest(path) if path else [])
    except ManifestError as error:
        raise PrepareError(f"--keep-splits: {error}") from error


def _write(read: list[Source], prepared: Prepared, path: Path) -> None:
    """Write a manifest and its page; print what is in it and what was left out."""
    write_manifest(prepared, path)
    print("\n" + summary(read, prepared))
    print(f"wrote {path}: {count(len(prepared.rows), 'image')}")
    page = path.with_suffix(".html")
    write_data_report(read, prepared, page)
    print(f"wrote {page}: what is in it, with example pictures; do not pass it on")


def _prepare(parsed: argparse.Namespace) -> None:
    # Every table is read before any image, so that a wrong folder is said at once.
    lesions, others = _read_sources(parsed)
    kept: Path | None = parsed.keep_splits
    beside = kept.with_name("not_lesion.csv") if kept else None
    earlier = _read_earlier(kept)
    earlier_others = _read_earlier(beside if beside and beside.exists() else None)
    if lesions:
        complete = without_dicom(lesions, parsed.out / "dicom")
        prepared = prepare(complete, parsed.seed, earlier=earlier)
        if kept:
            keep_copies(kept, parsed.out)
        _write(lesions, prepared, parsed.out / "manifest.csv")
        for warning in one_class_warnings(prepared):
            print(warning, file=sys.stderr)
    if others:
        complete = without_dicom(others, parsed.out / "dicom")
        prepared = prepare(complete, parsed.seed, HALVES, earlier_others)
        _write(others, prepared, parsed.out / "not_lesion.csv")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when written, 2 with one line on stderr when the input is wrong."""
    parsed = parse_arguments(arguments)
    if parsed.dry_run:
        print("\n".join(map(describe, parsed.downloads)) or "nothing to fetch")
        return 0
    try:
        _make_folder(parsed.out)
        for download in parsed.downloads:
            fetch(download, parsed.accept_terms)
        _prepare(parsed)
    except PrepareError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("prepare: stopped; a manifest that was there before is unchanged", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
