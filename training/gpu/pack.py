"""Write small copies of the training photos, to copy to a machine with a GPU."""

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
from training.datasets.manifest import COLUMNS, Row, read_manifest
from training.fit.image_cache import decode_row

COPY_PIXELS = 400
"""Side of the copies: 7 kB per photo, 140 MB for 19,000. The networks in ``models`` were trained on
such copies; training on the original photos was not compared."""

_WEBP_QUALITY = 82
"""At this quality WebP files are half the size of JPEG files."""


def pack(manifest: Path, folder: Path) -> int:
    """Write a manifest whose train and validation photos are small WebP copies.

    Its rows and file names, and therefore its split hashes, are those of the original manifest.
    Test photos are listed but not copied, because training never opens them.

    Args:
        manifest: the original manifest; a ``not_lesion.csv`` beside it is packed too.
        folder: a new or empty folder.

    Returns:
        The size of the copies in bytes.

    Raises:
        UsageError: the folder is not empty.
        ManifestError: a manifest or a photo cannot be read.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: expected a new or an empty folder")
    tables = {"manifest.csv": read_manifest(manifest)}
    not_lesion = manifest.with_name("not_lesion.csv")
    if not_lesion.exists():
        tables[not_lesion.name] = read_manifest(not_lesion)
    paths = [os.path.abspath(row.path) for rows in tables.values() for row in rows]
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    size = 0
    for name, rows in tables.items():
        relative = [os.path.relpath(os.path.abspath(row.path), root) for row in rows]
        copied = [(row, partial / path) for row, path in zip(rows, relative, strict=True)]
        size += _copy([(row, path) for row, path in copied if row.split != "test"], name)
        _write(partial / name, rows, relative)
    # The folder appears only when it is complete.
    if folder.exists():
        folder.rmdir()
    partial.rename(folder)
    return size


def _copy(photos: list[tuple[Row, Path]], name: str) -> int:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sizes: Iterable[int] = pool.map(lambda photo: _copy_one(*photo), photos)
        return sum(tqdm(sizes, f"packing {name}", len(photos), unit="photo"))


def _copy_one(row: Row, path: Path) -> int:
    image = Image.fromarray(decode_row(row)).resize(
        (COPY_PIXELS, COPY_PIXELS), Image.Resampling.LANCZOS
    )
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=_WEBP_QUALITY, method=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file keeps its name and suffix; decoding recognises the format by the content.
    return path.write_bytes(buffer.getvalue())


def _write(path: Path, rows: list[Row], image_paths: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for row, image_path in zip(rows, image_paths, strict=True):
            table.writerow(dataclasses.asdict(row) | {"path": image_path})
