"""The table of verdicts, written row by row, so that a later run goes on with it."""

import csv
import io
import sys
from collections import Counter
from pathlib import Path
from typing import IO

from tqdm import tqdm

from lens import artifact
from lens.verdict import Reason
from training.cli import UsageError
from training.scoring.locations import UNREAD, find, listed
from training.scoring.options import ScoreOptions
from training.scoring.workers import COLUMNS, score_each

Answer = tuple[str, str]
"""Verdict and reasons of a row."""


def score_all(options: ScoreOptions) -> int:
    """Judge every file that no earlier run has, writing each row; return the exit status."""
    card = artifact.read_card(options.model)
    if not card.calibrated:
        print(f"{options.model} is not calibrated: its probabilities are scores", file=sys.stderr)
    if options.out.is_dir():
        raise UsageError(f"expected a file to write, got the folder {options.out}")
    checksum = artifact.sha256(options.model)[:12]
    partial = options.out.with_name(f"{options.out.name}.{checksum}.partial")
    named = listed(options.table) if options.table else []
    locations = find([*options.paths, *named], besides=(options.out, partial))
    done, counts = _keep(partial, set(locations))
    if done:
        print(f"{len(done)} of {len(locations)} files are in {partial} already")
    waiting = [location for location in locations if location not in done]
    counts += _score(waiting, len(done), partial, options)
    partial.replace(options.out)
    return _summary(options.out, counts)


def _keep(partial: Path, asked: set[str]) -> tuple[set[str], Counter[Answer]]:
    """Leave in the table of an earlier run what is whole, asked for, and not to be tried again.

    Returns:
        The paths whose rows are left, and how many got which answer.
    """
    text = "" if not partial.exists() else partial.read_text("utf-8", "surrogateescape")
    whole = text[: text.rfind("\n") + 1]  # A killed run may leave half a row.
    done, counts = set[str](), Counter[Answer]()
    fresh = partial.with_name(f".{partial.name}.new")
    with _open(fresh, "w") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for row in csv.DictReader(io.StringIO(whole, newline="")):
            if row["path"] in asked and row["reasons"] not in (None, *UNREAD):
                table.writerow(row)
                done.add(row["path"])
                counts[_answer(row)] += 1
    fresh.replace(partial)
    return done, counts


def _score(waiting: list[str], done: int, partial: Path, options: ScoreOptions) -> Counter[Answer]:
    """Write each row to the table as it comes; how many got which answer."""
    counts = Counter[Answer]()
    scored = score_each(waiting, str(options.model), options.processes, options.dask)
    with _open(partial, "a") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        for row, fault in tqdm(scored, "scoring", done + len(waiting), initial=done, unit="photo"):
            if fault:
                tqdm.write(f"{row['path']}: {fault}", file=sys.stderr)
            table.writerow(row)
            file.flush()
            counts[_answer(row)] += 1
    return counts


def _open(path: Path, mode: str) -> IO[str]:
    """surrogateescape: a file name that is not UTF-8 is written as the bytes it is."""
    return path.open(mode, newline="", encoding="utf-8", errors="surrogateescape")


def _answer(row: dict[str, str]) -> Answer:
    return row["verdict"], row["reasons"]


def _summary(out: Path, counts: Counter[Answer]) -> int:
    """Print how many files got which answer; the exit status."""
    print(f"{out}: {counts.total()} files")
    for (verdict, reasons), count in sorted(counts.items()):
        print(f"{count:8} {verdict or f'cannot judge ({reasons})'}")
    if any(verdict or set(reasons.split(";")) <= set(Reason) for verdict, reasons in counts):
        return 0
    print("none of them could be read as a photo", file=sys.stderr)
    return 1
