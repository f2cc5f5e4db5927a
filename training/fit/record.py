"""Record what a training run depends on, so that ``--resume`` continues only the same run."""

import ast
import dataclasses
import hashlib
import importlib.util
import json
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import keras

from lens.artifact import sha256
from lens.files import replacing
from lens.images import decoder
from training.cli import UsageError
from training.datasets.manifest import ManifestError, Row
from training.fit.overrides import settings_of
from training.fit.recipes import Recipe

RECORD_FILE = "run.json"
HASHED_MODULES = (
    "training.fit.augmentation",
    "training.fit.batches",
    "training.fit.callbacks",
    "training.fit.checkpoints",
    "training.fit.distillation",
    "training.fit.heads",
    "training.fit.loop",
    "training.fit.negatives",
    "training.fit.sampling",
    "training.networks.cnn",
    "training.networks.efficientnet",
    "training.networks.published_weights",
)
"""Modules whose code determines the results of a run."""
PACKAGES = ("keras", "numpy", "opencv-python-headless")

Record = dict[str, str]
"""Values or SHA-256 checksums by the name of what they describe."""

_SHA256_LENGTH = 64


class ResumeError(UsageError):
    """The checkpoints belong to another run; the message names what differs."""


def describe_run(
    network: str, recipe: Recipe, seed: int, rows: dict[str, Sequence[Row]], **files: Path | str
) -> Record:
    """Describe everything that determines the results of a run.

    Args:
        network: the network's name.
        recipe: the recipe with all changes from the command line.
        seed: seed of the run.
        rows: sets of images, by their name in an error message.
        files: the values of ``--start`` and ``--teacher``; a path is recorded as a checksum.

    Raises:
        ManifestError: an image is missing.
    """
    record = {"network": network, "seed": str(seed), "code": code_digest(HASHED_MODULES)}
    record["decoder of images"] = _digest([decoder()])
    record |= {f"recipe.{name}": str(value) for name, value in settings_of(recipe).items()}
    record |= {what: rows_digest(chosen) for what, chosen in rows.items()}
    record |= {
        f"--{name}": sha256(file) if isinstance(file, Path) else file
        for name, file in files.items()
    }
    record |= {f"version of {name}": version(name) for name in PACKAGES}
    record |= {"version of Python": platform.python_version(), "backend": keras.backend.backend()}
    return record


def begin(folder: Path, record: Record) -> None:
    """Write the record of a new run to its folder, and invalidate the checkpoints of an old one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.json").unlink(missing_ok=True)
    with replacing(folder / RECORD_FILE) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def check(folder: Path, record: Record) -> None:
    """Check that nothing has changed since a run was started.

    Raises:
        ResumeError: there is nothing to resume, or something differs.
    """
    if not (folder / "state.json").is_file():
        raise ResumeError(f"{folder}: no finished epoch to resume; start without --resume")
    if not (folder / RECORD_FILE).is_file():
        raise ResumeError(
            f"{folder}: has no {RECORD_FILE}, so the run cannot be compared; start without --resume"
        )
    if differing := differences(folder, record):
        raise ResumeError(
            f"{folder}: the run was started with another {', '.join(differing)}; resume it "
            "with the original settings, or start without --resume"
        )


def differences(folder: Path, record: Record) -> list[str]:
    """Name what differs between a record and the one that ``begin`` wrote to a folder."""
    started = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
    return [
        _difference(name, started.get(name), record.get(name))
        for name in {**started, **record}
        if started.get(name) != record.get(name)
    ]


def _difference(name: str, started: str | None, now: str | None) -> str:
    if len(started or now or "") == _SHA256_LENGTH:
        return name
    return f"{name} ({started or 'none'} then, {now or 'none'} now)"


def rows_digest(rows: Iterable[Row]) -> str:
    """SHA-256 of everything in the rows that affects training, in their order.

    Raises:
        ManifestError: an image is missing.
    """
    return _digest(map(_row, rows))


def _row(row: Row) -> str:
    """The parts of a row that affect training; the path is replaced by the file's name and size."""
    path = Path(row.path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ManifestError(
            f"{path}: listed in the manifest but not there; run training.prepare again"
        ) from error
    return json.dumps({**dataclasses.asdict(row), "path": path.name, "group": "", "size": size})


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def code_digest(modules: Iterable[str]) -> str:
    """SHA-256 of the code of modules, without comments and docstrings."""
    specs = [importlib.util.find_spec(name) for name in modules]
    return _digest(code_of(Path(spec.origin).read_text()) for spec in specs if spec and spec.origin)


def code_of(source: str) -> str:
    """Python code without comments, docstrings and formatting, which do not affect results."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
