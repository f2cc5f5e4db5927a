"""Published data sets to one manifest with leak-free splits: ``python -m training.prepare``."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from training.datasets import sources
from training.datasets.build import Prepared, prepare, write_manifest
from training.datasets.dicom import without_dicom
from training.datasets.download import SETS, describe, fetch, plan
from training.datasets.report import write_data_report
from training.datasets.sources import PrepareError, Source
from training.datasets.splits import SHARES


def print_figures(read: list[Source], prepared: Prepared) -> None:
    """Print what the tables listed, what was dropped and why, and what each split holds."""
    print("\nTables         listed    benign malignant   present    absent  unlisted")
    for source in read:
        malignant = sum(record.malignant for record in source.records)
        present = sum(record.path is not None for record in source.records)
        listed = len(source.records)
        counts = (listed, listed - malignant, malignant, present, listed - present, source.unlisted)
        print(f"{source.name:11}" + "".join(f"{count:10,}" for count in counts))
    print("\nSplits      " + "".join(f"{split:>30}" for split in SHARES))
    print(" " * 12 + f"{'images':>10}{'malignant':>10}{'groups':>10}" * len(SHARES))
    for name in [source.name for source in read] + ["all"]:
        line = f"{name:12}"
        for split in SHARES:
            rows = [r for r in prepared.rows if r[2] == split and name in (r[0].source, "all")]
            malignant = sum(record.malignant for record, _, _ in rows)
            groups = len({group for _, group, _ in rows})
            line += f"{len(rows):10,}{malignant:10,}{groups:10,}"
        print(line)
    print(f"\nduplicates dropped: {_per_source(prepared.duplicates)}")
    print(f"dropped because copies disagree on malignant: {_per_source(prepared.contradictory)}")
    print(f"same or nearly the same picture: {_count(prepared.merged, 'group')} joined to another")
    for source in read:
        for reason, count in source.left_out.items():
            print(f"left out of {source.name}, {reason}: {_count(count, 'image')}")
    print(f"left out for their size: {', '.join(prepared.unfit) or 'none'}")


def _per_source(counts: Counter) -> str:
    each = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"{counts.total():,} ({each})" if each else "none"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


READERS: dict[str, tuple[Callable[[Path], Source], str]] = {
    "ham10000": (sources.read_ham10000, "HAM10000: HAM10000_metadata.csv and images"),
    "isic2019": (sources.read_isic2019, "ISIC 2019: ISIC_2019_Training_*.csv and images"),
    "siim2020": (sources.read_siim2020, "SIIM-ISIC 2020: train.csv and JPEG images"),
    "pad_ufes": (sources.read_pad_ufes, "PAD-UFES-20: metadata.csv and images"),
    "isic_archive": (
        sources.read_isic_archive,
        "any download of the ISIC Archive's client, isic: metadata.csv and images",
    ),
    "folders": (sources.read_folders, "any folder with benign/ and malignant/"),
}


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
    parser.add_argument(
        "--not-lesion",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="photographs of anything but a lesion; written to OUT/not_lesion.csv, each folder "
        "split for itself; may be repeated",
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
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument("--seed", type=int, default=0, help="draws the split (default 0)")
    parsed = parser.parse_args(arguments)
    if not any(getattr(parsed, name) for name in [*READERS, "not_lesion", "fetch"]):
        options = ", ".join(f"--{name.replace('_', '-')}" for name in READERS)
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
        # Every table is read before any image, so that a wrong folder is said at once.
        lesions = [
            read(getattr(parsed, name))
            for name, (read, _) in READERS.items()
            if getattr(parsed, name)
        ]
        others = [sources.read_not_lesion(folder) for folder in parsed.not_lesion]
        for read, file in ((lesions, "manifest.csv"), (others, "not_lesion.csv")):
            if read:
                prepared = prepare(without_dicom(read, parsed.out / "dicom"), parsed.seed)
                write_manifest(prepared, parsed.out / file)
                print_figures(read, prepared)
                print(f"wrote {parsed.out / file}: {_count(len(prepared.rows), 'image')}")
                page = (parsed.out / file).with_suffix(".html")
                write_data_report(read, prepared, page)
                print(f"wrote {page}: what is in it, with example pictures; do not pass it on")
    except PrepareError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("prepare: stopped; a manifest that was there before is unchanged", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
