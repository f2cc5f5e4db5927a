"""What a run's checkpoints belong to, so that ``--resume`` goes on with nothing else."""

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
from training.cli import UsageError
from training.datasets.manifest import ManifestError, Row
from training.fit.overrides import names
from training.fit.recipes import Recipe

FILE = "run.json"
MODULES = (
    "lens.images",
    "training.fit.augmentation",
    "training.fit.batches",
    "training.fit.callbacks",
    "training.fit.distillation",
    "training.fit.loop",
    "training.fit.negatives",
    "training.networks.cnn",
    "training.networks.efficientnet",
)
"""Modules whose code decides the numbers of a run."""
PACKAGES = ("keras", "numpy", "opencv-python-headless", "pillow")

Record = dict[str, str]
"""A word or a checksum under the name of what it stands for."""


class ResumeError(UsageError):
    """The checkpoints belong to another run; the message names what differs."""


def describe_run(
    network: str, recipe: Recipe, seed: int, rows: dict[str, Sequence[Row]], **files: Path | str
) -> Record:
    """Everything that decides the numbers of a run.

    Args:
        network: its name.
        recipe: with all that the command line changes in it.
        seed: of the run.
        rows: the images under what they are called in a message.
        files: model files the run begins with or learns from, under the names of their options;
            text stands for itself.

    Raises:
        ManifestError: an image is not there.
    """
    record = {"network": network, "seed": str(seed), "code": _code()}
    record |= {f"recipe.{name}": str(value) for name, value in names(recipe).items()}
    record |= {what: _digest(map(_row, chosen)) for what, chosen in rows.items()}
    record |= {
        f"--{name}": sha256(file) if isinstance(file, Path) else file
        for name, file in files.items()
    }
    record |= {f"version of {name}": version(name) for name in PACKAGES}
    record |= {"version of Python": platform.python_version(), "backend": keras.backend.backend()}
    return record


def begin(folder: Path, record: Record) -> None:
    """Note what the folder's checkpoints belong to; those of an earlier run no longer count."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "state.json").unlink(missing_ok=True)
    with replacing(folder / FILE) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def check(folder: Path, record: Record) -> None:
    """Compare what a run was begun with to what it would go on with.

    Raises:
        ResumeError: there is nothing to resume, or something differs.
    """
    if not (folder / "state.json").is_file():
        raise ResumeError(f"{folder}: no finished epoch to resume; start without --resume")
    if not (folder / FILE).is_file():
        raise ResumeError(
            f"{folder}: holds no {FILE}, so that nothing tells what the run was begun with; start "
            "without --resume"
        )
    begun = json.loads((folder / FILE).read_text(encoding="utf-8"))
    differing = [
        _difference(name, begun.get(name), record.get(name))
        for name in {**begun, **record}
        if begun.get(name) != record.get(name)
    ]
    if differing:
        raise ResumeError(
            f"{folder}: the run was begun with another {', '.join(differing)}; resume it with what "
            "it was begun with, or start without --resume"
        )


def _difference(name: str, begun: str | None, now: str | None) -> str:
    if len(begun or now or "") == _DIGEST:
        return name
    return f"{name} ({begun or 'none'} then, {now or 'none'} now)"


_DIGEST = 64


def _row(row: Row) -> str:
    """What training reads of a row: all but its group, and of its path the file."""
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


def _code() -> str:
    found = [importlib.util.find_spec(name) for name in MODULES]
    return _digest(code_of(Path(spec.origin).read_text()) for spec in found if spec and spec.origin)


def code_of(source: str) -> str:
    """Python code without what changes no number: comments, docstrings, line breaks."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
