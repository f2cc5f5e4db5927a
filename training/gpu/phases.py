"""Finished phases of a run, kept in its folder, so that a stopped run goes on after them."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import torch

from training.cli import UsageError

State = dict[str, torch.Tensor]


class Phases:
    """The phases of one run."""

    def __init__(self, folder: Path, run: dict[str, object]) -> None:
        """Open the folder of a run, or begin it.

        Args:
            folder: for the finished phases.
            run: all that decides what the phases give.

        Raises:
            UsageError: the folder has phases of another run.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        text = json.dumps(run, indent=1, sort_keys=True)
        record = folder / "run.json"
        if record.exists() and record.read_text() != text:
            before = json.loads(record.read_text())
            other = ", ".join(key for key in run if before.get(key) != json.loads(text)[key])
            raise UsageError(
                f"{folder}: holds a run that differs in {other}; choose another --out, or delete it"
            )
        record.write_text(text)

    def state(self, name: str, make: Callable[[], State]) -> State:
        """The tensors of a phase, made now if it is not finished."""
        path = self.folder / f"{name}.pt"
        if path.exists():
            print(f"{name}: finished before, taken from {path}", flush=True)
            return torch.load(path, weights_only=True, map_location="cpu")
        made = make()
        partial = path.with_suffix(f".{os.getpid()}.partial")
        torch.save(made, partial)
        partial.replace(path)
        return made

    def finished(self, name: str) -> bool:
        """Whether a phase is finished."""
        return (self.folder / f"{name}.pt").exists()


def fingerprint(texts: list[str]) -> str:
    """SHA-256 of some texts, for a run's record."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
