"""A verdict for each of many photos: ``python -m training.score --model FILE.h5 --out FILE.csv``.

Columns: path; status (ok, or cannot_judge); verdict (benign or malignant; empty when it cannot be
judged); probability (calibrated p(malignant); empty likewise); reasons (why not, joined by ";").
A file that cannot be read as a photo is cannot_judge too, with the reason that the website gives
(empty, damaged, unsupported_format ...), or missing, unreadable or too_large.

Rows are kept as they come in FILE.csv.MODEL.partial, named after the model's checksum; FILE.csv is
replaced once all are there. However a run ended, the same command goes on with its rows, and tries
those again that were missing or unreadable. The exit status is 0 if any file could be read as a
photo, 1 if none could or the model cannot be run, 2 for a wrong argument, 130 when stopped.
"""

import argparse
import sys
from pathlib import Path

from training import cli
from training.scoring.options import ScoreOptions


def parse(arguments: list[str] | None) -> ScoreOptions:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        "python -m training.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
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
        "--processes", type=cli.positive, default=1, metavar="N", help="on this machine (default 1)"
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
    parsed = parser.parse_args(arguments)
    if not parsed.paths and not parsed.table:
        parser.error("expected photos: a PATH or --table")
    parsed.paths = tuple(parsed.paths)
    return ScoreOptions(**vars(parsed))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    return cli.run(
        "score",
        lambda: _score(parse(arguments)),
        stopped="the same command goes on after the rows that are written",
    )


def _score(options: ScoreOptions) -> int:
    from training.scoring.table import score_all

    return score_all(options)


if __name__ == "__main__":
    sys.exit(main())
