"""Judge many photos: ``python -m training.score --model FILE.h5 --out FILE.csv PATH ...``.

Columns: path; status (ok or cannot_judge); verdict (benign or malignant); probability (calibrated
p(malignant)); reasons (why it cannot be judged, separated by ";"). Without a verdict, verdict and
probability are empty. A file that cannot be read as a photo also has the status cannot_judge. Its
reason is the same as on the website (empty, damaged, unsupported_format ...), or missing,
unreadable or too_large.

Each row is immediately written to FILE.csv.MODEL.partial, where MODEL is the start of the model's
checksum. FILE.csv is replaced when the new table is complete. After an interruption the same
command continues, and retries files that were missing or unreadable. The exit status is 0 if any
file could be read as a photo; 1 if none could, or the model cannot be run; 2 for a wrong argument;
130 when stopped.
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
        help="also judge the photos in the column path of this table, such as a manifest",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--processes",
        type=cli.positive_int,
        default=1,
        metavar="N",
        help="number of processes on this machine (default 1)",
    )
    where.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="use the workers of this Dask scheduler, such as tcp://host:8786",
    )
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="a photo; a folder, in which all files are judged except hidden files, masks and "
        "thumbnails; or a URL of either that fsspec can read, such as s3://bucket/folder",
    )
    parsed = parser.parse_args(arguments)
    if not parsed.paths and not parsed.table:
        parser.error("expected photos: a PATH or --table")
    parsed.paths = tuple(parsed.paths)
    return ScoreOptions(**vars(parsed))


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(
        "score",
        lambda: _score(parse(arguments)),
        stopped="the same command continues after the last row that was written",
    )


def _score(options: ScoreOptions) -> int:
    from training.scoring.table import score_all

    return score_all(options)


if __name__ == "__main__":
    sys.exit(main())
