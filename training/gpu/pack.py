"""Copy the photos that training needs, small enough to carry to a machine with a GPU."""

import csv
import dataclasses
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from training.cli import UsageError
from training.datasets.manifest import HEADER, Row, read_manifest
from training.fit.batches import decode_row

SIDE = 400
"""Side of the copies in pixels: 7 kB a photo, 140 MB for 19,000. The networks in ``models`` were
trained on such copies; how much better they are on the photos themselves is not known."""

_QUALITY = 82
"""Of WebP, which is half the size of JPEG at this quality."""


def pack(manifest: Path, folder: Path) -> int:
    """Write a manifest whose train and validation photos are small WebP copies.

    Its rows, the names of its files and so the hashes of its splits are those of the first one.
    Photos of the test split are listed but not copied: training never opens them.

    Args:
        manifest: of ``training.prepare``; ``not_lesion.csv`` beside it is packed too.
        folder: new or empty.

    Returns:
        Bytes of the copies.

    Raises:
        UsageError: the folder is not empty.
        ManifestError: a manifest or a photo cannot be read.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: expected a new or an empty folder")
    tables = {"manifest.csv": read_manifest(manifest)}
    beside = manifest.with_name("not_lesion.csv")
    if beside.exists():
        tables[beside.name] = read_manifest(beside)
    every = [os.path.abspath(row.path) for rows in tables.values() for row in rows]
    root = os.path.commonpath([os.path.dirname(path) for path in every])
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    size = 0
    for name, rows in tables.items():
        places = [os.path.relpath(os.path.abspath(row.path), root) for row in rows]
        copied = [(row, partial / place) for row, place in zip(rows, places, strict=True)]
        size += _copy([(row, path) for row, path in copied if row.split != "test"], name)
        _write(partial / name, rows, places)
    # An interrupted copy never looks like a whole one.
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)
    return size


def _copy(photos: list[tuple[Row, Path]], name: str) -> int:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sizes: Iterable[int] = pool.map(lambda photo: _copy_one(*photo), photos)
        return sum(tqdm(sizes, f"packing {name}", len(photos), unit="photo"))


def _copy_one(row: Row, path: Path) -> int:
    image = Image.fromarray(decode_row(row)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY, method=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under its own name, whatever its suffix: decoding tells the format by content.
    return path.write_bytes(buffer.getvalue())


def _write(path: Path, rows: list[Row], places: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, HEADER)
        table.writeheader()
        for row, place in zip(rows, places, strict=True):
            table.writerow(dataclasses.asdict(row) | {"path": place})
