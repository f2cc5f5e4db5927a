"""A verdict for each of many photos: ``python -m training.score --model FILE.h5 --out FILE.csv``.

Columns: path; status (ok, or cannot_judge); verdict (benign or malignant; empty when it cannot be
judged); probability (calibrated p(malignant); empty likewise); reasons (why not, joined by ";").
A file that cannot be read as a photo is cannot_judge too, with the reason that the website gives
(empty, damaged, unsupported_format ...), or missing, unreadable or too_large.

Rows are kept as they come in FILE.csv.MODEL.partial, named after the model's checksum; FILE.csv is
replaced once all are there. However a run ended, the same command goes on with its rows, and tries
those again that were missing or unreadable. The exit status is 0 if any file could be read as a
photo, 1 if none could, 2 for a wrong argument or model, 130 when stopped.
"""

import argparse
import csv
import io
import sys
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import IO

from tqdm import tqdm

from lens import artifact
from lens.artifact import InvalidModel
from lens.engine import EngineError
from lens.verdict import Reason
from training.cli import positive
from training.scoring.locations import UNREAD, ArchiveError, find, listed
from training.scoring.workers import COLUMNS, ScoringError, score_each

Answer = tuple[str, str]
"""Verdict and reasons of a row."""

FAILURES = (InvalidModel, EngineError, ArchiveError, ScoringError, BrokenProcessPool, OSError)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m training.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, required=True, metavar="FILE.h5")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE.csv",
        help="judge what its column path names too, such as a manifest's",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--processes", type=positive, default=1, metavar="N", help="on this machine (1)"
    )
    where.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="by the workers of this Dask scheduler, such as tcp://host:8786",
    )
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="a photo, a folder of which every file is judged but the hidden ones (.name), or a "
        "URL of either that fsspec reads, such as s3://bucket/folder",
    )
    options = parser.parse_args(arguments)
    if not options.paths and not options.table:
        parser.error("expected photos: a PATH or --table")
    return options


def score_all(options: argparse.Namespace) -> int:
    """Judge every file that no earlier run has, writing each row; return the exit status."""
    card = artifact.read_card(options.model)
    if not card.calibrated:
        print(f"{options.model} is not calibrated: its probabilities are scores", file=sys.stderr)
    if options.out.is_dir():
        raise IsADirectoryError(f"expected a file to write, got the folder {options.out}")
    checksum = artifact.sha256(options.model)[:12]
    partial = options.out.with_name(f"{options.out.name}.{checksum}.partial")
    named = listed(options.table) if options.table else []
    locations = find([*options.paths, *named], besides=(options.out, partial))
    done, counts = _keep(partial, set(locations))
    if done:
        print(f"{len(done)} of {len(locations)} files are in {partial} already")
    waiting = [location for location in locations if location not in done]
    try:
        counts += _score(waiting, len(done), partial, options)
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on with {partial}", file=sys.stderr)
        return 130
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


def _score(
    waiting: list[str], done: int, partial: Path, options: argparse.Namespace
) -> Counter[Answer]:
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


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        return score_all(options)
    except FAILURES as error:
        print(f"score: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
