"""Keep the finished phases of a run in its folder, so that an interrupted run can be continued."""

import json
from collections.abc import Callable
from pathlib import Path

import torch

from lens.files import replacing
from training.cli import UsageError

State = dict[str, torch.Tensor]
"""The tensors that a phase has produced, by name."""


class Phases:
    """The phases of one run."""

    def __init__(self, folder: Path, run: dict[str, object]) -> None:
        """Open the folder of a run, or create it.

        Args:
            folder: the folder for the finished phases.
            run: the settings that determine the results of the phases, by name, as JSON values.

        Raises:
            UsageError: the folder belongs to another run.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        text = json.dumps(run, indent=1, sort_keys=True)
        record = folder / "run.json"
        if record.exists() and record.read_text() != text:
            before = json.loads(record.read_text())
            other = ", ".join(key for key in run if before.get(key) != json.loads(text)[key])
            raise UsageError(
                f"{folder}: contains a run with another {other}; choose another --out, or delete it"
            )
        record.write_text(text)

    def state(self, name: str, run: Callable[[], State]) -> State:
        """Load the tensors of a finished phase, or run the phase and save them."""
        path = self.folder / f"{name}.pt"
        if path.exists():
            print(f"{name}: finished before, loaded from {path}", flush=True)
            return torch.load(path, weights_only=True, map_location="cpu")
        state = run()
        with replacing(path) as partial:
            torch.save(state, partial)
        return state
