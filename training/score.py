"""A verdict for each of many photos: ``python -m training.score --model FILE.h5 --out FILE.csv``.

Columns: path; status (ok, or cannot_judge); verdict (benign or malignant; empty when it cannot be
judged); probability (calibrated p(malignant); empty likewise); reasons (why not, joined by ";").
A file that cannot be read as a photo is cannot_judge too, with the reason that the website gives
(empty, damaged, unsupported_format ...), or missing, unreadable or too_large. The exit status is 0
if any file could be read as a photo, 1 if none could, 2 for a wrong argument or model, 130 when
stopped; each row is written as soon as it is known.
"""

import argparse
import csv
import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from lens import artifact
from lens.artifact import Card, InvalidModel
from lens.engine import Engine, EngineError, open_engine
from lens.images import InvalidImage, decode
from lens.verdict import judge

COLUMNS = ("path", "status", "verdict", "probability", "reasons")

MAX_BYTES = 512 * 1024 * 1024
"""No photo of 40 megapixels is larger, even uncompressed at 16 bits; videos and archives are."""


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m training.score",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", type=Path, required=True, metavar="FILE.h5")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="a photo, or a folder of which every file is judged but the hidden ones (.name)",
    )
    return parser.parse_args(arguments)


def find_files(paths: Iterable[Path], out: Path) -> list[Path]:
    """The files to judge: in the order of the paths, those of a folder sorted, each file once.

    Args:
        paths: files and folders; one that does not exist is kept, to be reported.
        out: the table being written, which is no photo even if it lies in a folder.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if os.path.isdir(path):
            files = sorted(file for file in path.rglob("*") if _counts(file, path, out))
            found |= dict.fromkeys(files)
        else:
            found[path] = None
    return list(found)


def _counts(file: Path, folder: Path, out: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    # os.path, not pathlib: it answers no where pathlib raises, as in a folder without permission.
    return not hidden and os.path.isfile(file) and file.resolve() != out.resolve()


def score(path: Path, engine: Engine, card: Card) -> dict[str, str]:
    """Judge one file: its row of the table.

    Raises:
        InvalidImage: it cannot be read as a photo.
        EngineError: the network cannot run.
    """
    verdict = judge(decode(_read(path)), engine, card)
    return {
        "path": str(path),
        "status": verdict.status,
        "verdict": verdict.verdict or "",
        "probability": "" if verdict.probability is None else f"{verdict.probability:.6f}",
        "reasons": ";".join(verdict.reasons),
    }


def _read(path: Path) -> bytes:
    if not os.path.lexists(path):
        raise InvalidImage("missing", "There is no such file or folder.")
    # A pipe or a device would be waited for, perhaps for ever.
    if not os.path.isfile(path):
        raise InvalidImage("unreadable", "This is not a regular file.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidImage("too_large", f"The file has more than {MAX_BYTES:,} bytes.")
        return path.read_bytes()
    except OSError as error:
        raise InvalidImage("unreadable", f"The file cannot be read: {error.strerror}.") from error


def score_all(options: argparse.Namespace) -> int:
    """Judge every file, writing each row at once; return the exit status."""
    card = artifact.read_card(options.model)
    engine = open_engine(options.model)
    if not card.calibrated:
        print(f"{options.model} is not calibrated: its probabilities are scores", file=sys.stderr)
    files = find_files(options.paths, options.out)
    counts, photos = Counter[str](), 0
    # surrogateescape: a file name that is not UTF-8 is written as the bytes it is.
    with options.out.open("w", newline="", encoding="utf-8", errors="surrogateescape") as out:
        table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        table.writeheader()
        try:
            for path in tqdm(files, "scoring", unit="photo"):
                try:
                    row = score(path, engine, card)
                    photos += 1
                except InvalidImage as error:
                    row = {"path": str(path), "status": "cannot_judge", "reasons": error.reason}
                    tqdm.write(f"{path}: {error}", file=sys.stderr)
                table.writerow(row)
                out.flush()
                counts[row.get("verdict") or f"cannot judge ({row['reasons']})"] += 1
        except KeyboardInterrupt:
            done = counts.total()
            print(f"\nstopped; {options.out} holds {done} of {len(files)} files", file=sys.stderr)
            return 130
    print(f"{options.out}: {counts.total()} files")
    for name, count in sorted(counts.items()):
        print(f"{count:8} {name}")
    if not photos:
        print("none of them could be read as a photo", file=sys.stderr)
    return 0 if photos else 1


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        return score_all(options)
    except (InvalidModel, EngineError, OSError) as error:
        print(f"score: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
