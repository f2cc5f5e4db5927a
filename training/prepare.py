"""Prepare data sets for training: ``python -m training.prepare``.

Writes one manifest whose splits share no picture, nor a lesion or patient as far as these are
known.
"""

import argparse
import sys
from pathlib import Path

from training import cli
from training.datasets.download import SETS, describe, plan
from training.datasets.manifest import CLINICAL, DERMOSCOPIC
from training.datasets.options import PrepareOptions

PUBLISHED = {
    "ham10000": "HAM10000: HAM10000_metadata.csv and images",
    "isic2019": "ISIC 2019: ISIC_2019_Training_*.csv and images",
    "siim2020": "SIIM-ISIC 2020: train.csv and JPEG images",
    "pad_ufes": "PAD-UFES-20: metadata.csv and images",
    "milk10k": "MILK10k: MILK10k_Training_{GroundTruth,Metadata}.csv and MILK10k_Training_Input/",
    "melanoma10k": "the set of 10,000 melanoma images: benign/ and malignant/, dermoscopic",
    "isic_archive": "any download of the ISIC Archive's client, isic: metadata.csv and images",
}
FOLDERS = {"folders": CLINICAL, "dermoscopic_folders": DERMOSCOPIC}
"""The options for the user's own folders, with the kind of their photos."""
FOLDER_HELP = {
    name: f"{kind} photos in a folder with benign/ and malignant/; the source is named after "
    "the folder; may be repeated"
    for name, kind in FOLDERS.items()
} | {
    "not_lesion": "photographs of anything but a lesion, written to OUT/not_lesion.csv; half of "
    "each folder is for fitting and half for testing; may be repeated"
}


def parse(arguments: list[str] | None) -> PrepareOptions:
    """Parse the command line."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if not any(getattr(parsed, name) for name in [*PUBLISHED, *FOLDERS, "not_lesion", "fetch"]):
        options = ", ".join(map(_option, [*PUBLISHED, *FOLDERS]))
        parser.error(
            f"no data set given; expected at least one of {options}, --not-lesion, --fetch"
        )
    sets = {name: getattr(parsed, name) for name in PUBLISHED if getattr(parsed, name)}
    downloads = plan(parsed.fetch, parsed.out / "downloads")
    for download in downloads:
        if download.reader in sets:
            parser.error(
                f"give either --fetch {' '.join(download.names)} or {_option(download.reader)}"
            )
        sets[download.reader] = download.folder
    return PrepareOptions(
        sets=sets,
        folders=tuple(
            (folder, kind) for name, kind in FOLDERS.items() for folder in getattr(parsed, name)
        ),
        not_lesion=tuple(parsed.not_lesion),
        downloads=tuple(downloads),
        accept_terms=parsed.accept_terms,
        dry_run=parsed.dry_run,
        keep_splits=parsed.keep_splits,
        out=parsed.out,
        seed=parsed.seed,
    )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m training.prepare",
        description="Write OUT/manifest.csv from any of the published data sets. Duplicates are "
        "dropped; all photos of a lesion or patient, and near-duplicates, stay together; every "
        "source and diagnosis is split 70/15/15 (train/val/test). The same images and seed give "
        "the same split on every machine.",
        allow_abbrev=False,
    )
    for name, text in PUBLISHED.items():
        parser.add_argument(_option(name), type=Path, metavar="DIR", help=text)
    for name, text in FOLDER_HELP.items():
        parser.add_argument(
            _option(name), type=Path, action="append", default=[], metavar="DIR", help=text
        )
    parser.add_argument(
        "--fetch",
        action="append",
        choices=SETS,
        default=[],
        metavar="NAME",
        help=f"download a set first, into OUT/downloads, and use it: {', '.join(SETS)}; needs the "
        "client of its host (isic-cli or kaggle); may be repeated",
    )
    parser.add_argument(
        "--accept-terms", action="store_true", help="you accept the terms of the sets to download"
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what --fetch would run")
    parser.add_argument(
        "--keep-splits",
        type=Path,
        metavar="FILE",
        help="an earlier manifest, whose images and groups keep their split; a group joined from "
        "several splits goes to test if it had test images, otherwise to val",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    cli.add_seed(parser, "the random split")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(
        "prepare",
        lambda: _prepare(parse(arguments)),
        stopped="an existing manifest is unchanged",
    )


def _prepare(options: PrepareOptions) -> None:
    if options.dry_run:
        print("\n".join(map(describe, options.downloads)) or "nothing to fetch")
        return
    from training.datasets.preparation import prepare_all

    prepare_all(options)


if __name__ == "__main__":
    sys.exit(main())
