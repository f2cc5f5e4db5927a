"""Write the table of verdicts row by row, so that an interrupted run can be continued."""

import csv
import io
import sys
from collections import Counter
from pathlib import Path
from typing import IO

from tqdm import tqdm

from lens import artifact
from lens.files import replacing
from lens.verdict import Reason
from training.cli import UsageError
from training.scoring.locations import RETRIED_REASONS, find_photos, paths_in_table
from training.scoring.options import ScoreOptions
from training.scoring.workers import COLUMNS, score_each

Outcome = tuple[str, str]
"""The verdict and the reasons of a row."""


def score_all(options: ScoreOptions) -> int:
    """Judge all photos that have no row yet, and write their rows.

    Returns:
        The exit status: 0 if at least one file could be read as a photo, otherwise 1.

    Raises:
        UsageError: ``options.out`` is a folder.
        ArchiveError: a folder, table or object store cannot be read.
        ScoringError: the processes or the cluster failed.
        InvalidModel, EngineError: the model cannot be run.
    """
    card = artifact.read_card(options.model)
    if not card.calibrated:
        print(f"{options.model} is not calibrated: its probabilities are scores", file=sys.stderr)
    if options.out.is_dir():
        raise UsageError(f"expected a file to write, got the folder {options.out}")
    checksum = artifact.sha256(options.model)[:12]
    partial = options.out.with_name(f"{options.out.name}.{checksum}.partial")
    named = paths_in_table(options.table) if options.table else []
    locations, left_out = find_photos([*options.paths, *named], excluded=(options.out, partial))
    for reason, names in left_out.items():
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        print(f"not scored, {reason}: {len(names):,} ({shown})", file=sys.stderr)
    done, counts = _keep_rows(partial, set(locations))
    if done:
        print(f"{len(done)} of {len(locations)} files are already in {partial}")
    remaining = [location for location in locations if location not in done]
    counts += _score(remaining, len(done), partial, options)
    partial.replace(options.out)
    return _print_summary(options.out, counts)


def _keep_rows(partial: Path, wanted: set[str]) -> tuple[set[str], Counter[Outcome]]:
    """Keep the rows of an interrupted run that are complete and still wanted, and need no retry.

    Returns:
        The paths whose rows are kept, and the number of each outcome.
    """
    text = "" if not partial.exists() else partial.read_text("utf-8", "surrogateescape")
    complete = text[: text.rfind("\n") + 1]  # A killed run may leave an incomplete row.
    done, counts = set[str](), Counter[Outcome]()
    with replacing(partial) as fresh, _open(fresh, "w") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for row in csv.DictReader(io.StringIO(complete, newline="")):
            if row["path"] in wanted and row["reasons"] not in (None, *RETRIED_REASONS):
                table.writerow(row)
                done.add(row["path"])
                counts[_outcome(row)] += 1
    return done, counts


def _score(
    remaining: list[str], done: int, partial: Path, options: ScoreOptions
) -> Counter[Outcome]:
    """Judge the remaining photos and write each row at once; return the number of each outcome."""
    counts = Counter[Outcome]()
    scored = score_each(remaining, str(options.model), options.processes, options.dask)
    with _open(partial, "a") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        total = done + len(remaining)
        for row, error in tqdm(scored, "scoring", total, initial=done, unit="photo"):
            if error:
                tqdm.write(f"{row['path']}: {error}", file=sys.stderr)
            table.writerow(row)
            file.flush()
            counts[_outcome(row)] += 1
    return counts


def _open(path: Path, mode: str) -> IO[str]:
    # surrogateescape writes a file name that is not UTF-8 as its original bytes.
    return path.open(mode, newline="", encoding="utf-8", errors="surrogateescape")


def _outcome(row: dict[str, str]) -> Outcome:
    return row["verdict"], row["reasons"]


def _print_summary(out: Path, counts: Counter[Outcome]) -> int:
    """Print the number of each outcome; return the exit status."""
    print(f"{out}: {counts.total()} files")
    for (verdict, reasons), count in sorted(counts.items()):
        print(f"{count:8} {verdict or f'cannot judge ({reasons})'}")
    if any(verdict or set(reasons.split(";")) <= set(Reason) for verdict, reasons in counts):
        return 0
    print("none of them could be read as a photo", file=sys.stderr)
    return 1
