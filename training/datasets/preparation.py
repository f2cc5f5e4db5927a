"""Prepare data sets: read published sets and folders, write manifests and a page about each."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from training.cli import UsageError
from training.datasets import folders, sources
from training.datasets.build import Prepared, prepare, write_manifest
from training.datasets.dicom import without_dicom
from training.datasets.download import fetch
from training.datasets.keep_splits import EarlierSplits, keep_copies
from training.datasets.manifest import ManifestError, read_manifest
from training.datasets.options import PrepareOptions
from training.datasets.records import PrepareError, Source
from training.datasets.report import write_data_report
from training.datasets.splits import HALVES
from training.datasets.summary import count, one_class_warnings, summary

READERS: dict[str, Callable[[Path], Source]] = {
    "ham10000": sources.read_ham10000,
    "isic2019": sources.read_isic2019,
    "siim2020": sources.read_siim2020,
    "pad_ufes": sources.read_pad_ufes,
    "milk10k": sources.read_milk10k,
    "melanoma10k": folders.read_melanoma10k,
    "isic_archive": sources.read_isic_archive,
}


def prepare_all(options: PrepareOptions) -> None:
    """Download and read the data sets, and write the manifests with their pages.

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
    # Every table is read before any image, so that a wrong folder is reported at once.
    lesions, others = _read_sources(options)
    manifest = options.keep_splits
    beside = manifest.with_name("not_lesion.csv") if manifest else None
    earlier = _read_earlier(manifest)
    earlier_others = _read_earlier(beside if beside and beside.exists() else None)
    if lesions:
        complete = without_dicom(lesions, options.out / "dicom")
        prepared = prepare(complete, options.seed, earlier=earlier)
        if manifest:
            keep_copies(manifest, options.out)
        _write(lesions, prepared, options.out / "manifest.csv")
        for warning in one_class_warnings(prepared):
            print(warning, file=sys.stderr)
    if others:
        complete = without_dicom(others, options.out / "dicom")
        prepared = prepare(complete, options.seed, HALVES, earlier_others)
        _write(others, prepared, options.out / "not_lesion.csv")


def _read_sources(options: PrepareOptions) -> tuple[list[Source], list[Source]]:
    """Read the sources with lesions, and the sources of photos without one."""
    lesions = [read(options.sets[name]) for name, read in READERS.items() if name in options.sets]
    lesions += [folders.read_folders(folder, kind) for folder, kind in options.folders]
    others = [folders.read_not_lesion(folder) for folder in options.not_lesion]
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
    """Write a manifest and the page about it; print what it contains and what was left out."""
    write_manifest(prepared, path)
    print("\n" + summary(read, prepared))
    print(f"wrote {path}: {count(len(prepared.rows), 'image')}")
    page = path.with_suffix(".html")
    write_data_report(read, prepared, page)
    print(f"wrote {page}: its content with example pictures, which may not be passed on")
