"""Prepare data sets: read published sets and folders, write manifests and a report on each."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from training.cli import UsageError
from training.datasets import folders
from training.datasets.build import Prepared, prepare, write_manifest
from training.datasets.dicom import convert_dicom
from training.datasets.download import fetch
from training.datasets.keep_splits import EarlierSplits, keep_copies
from training.datasets.manifest import ManifestError, read_manifest, read_not_lesion
from training.datasets.options import PrepareOptions
from training.datasets.records import PrepareError, Source
from training.datasets.report import write_data_report
from training.datasets.sources import (
    read_ham10000,
    read_isic2019,
    read_isic_archive,
    read_milk10k,
    read_pad_ufes,
    read_siim2020,
)
from training.datasets.splits import HALVES
from training.datasets.summary import count, one_class_warnings, summary

READERS: dict[str, Callable[[Path], Source]] = {
    "ham10000": read_ham10000,
    "isic2019": read_isic2019,
    "siim2020": read_siim2020,
    "pad_ufes": read_pad_ufes,
    "milk10k": read_milk10k,
    "melanoma10k": folders.read_melanoma10k,
    "isic_archive": read_isic_archive,
}


def prepare_all(options: PrepareOptions) -> None:
    """Download and read the data sets, and write the manifests with their reports.

    Raises:
        PrepareError: a set cannot be read, or lacks an expected table or image.
        UsageError: ``options.out`` cannot be written to.
    """
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{options.out}: expected a folder to write to: {error.strerror}"
        ) from error
    for download in options.downloads:
        fetch(download, options.accept_terms)
    # Read every table before any image, so that a wrong folder is reported at once.
    lesions, others = _read_sources(options)
    manifest = options.keep_splits
    earlier, earlier_others = _read_earlier(manifest)
    if lesions:
        converted = convert_dicom(lesions, options.out / "dicom")
        prepared = prepare(converted, options.seed, earlier=earlier)
        if manifest:
            keep_copies(manifest, options.out)
        _write(lesions, prepared, options.out / "manifest.csv")
        for warning in one_class_warnings(prepared):
            print(warning, file=sys.stderr)
    if others:
        converted = convert_dicom(others, options.out / "dicom")
        prepared = prepare(converted, options.seed, HALVES, earlier_others)
        _write(others, prepared, options.out / "not_lesion.csv")


def _read_sources(options: PrepareOptions) -> tuple[list[Source], list[Source]]:
    """Read the sources of lesions, and the sources of photos without a lesion."""
    lesions = [read(options.sets[name]) for name, read in READERS.items() if name in options.sets]
    lesions += [folders.read_folders(folder, kind) for folder, kind in options.folders]
    others = [folders.read_not_lesion(folder) for folder in options.not_lesion]
    for name, times in Counter(source.name for source in lesions + others).items():
        if times > 1:
            raise PrepareError(f"expected sources with different names, found {times} named {name}")
    return lesions, others


def _read_earlier(manifest: Path | None) -> tuple[EarlierSplits, EarlierSplits]:
    """Read the earlier splits of lesions, and those of photos without a lesion."""
    if manifest is None:
        return EarlierSplits([]), EarlierSplits([])
    try:
        return EarlierSplits(read_manifest(manifest)), EarlierSplits(read_not_lesion(manifest))
    except ManifestError as error:
        raise PrepareError(f"--keep-splits: {error}") from error


def _write(sources: list[Source], prepared: Prepared, path: Path) -> None:
    """Write a manifest and its report; print what it contains and what was left out."""
    write_manifest(prepared, path)
    print("\n" + summary(sources, prepared))
    print(f"wrote {path}: {count(len(prepared.rows), 'image')}")
    report = path.with_suffix(".html")
    write_data_report(sources, prepared, report)
    print(f"wrote {report}: a report with example pictures, which must not be passed on")
