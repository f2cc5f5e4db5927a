"""Evaluate a model on the test split: ``python -m training.evaluate models/melanoma.h5``.

Prints the figures, writes them with plots and sheets of the worst mistakes, stores them in the
card inside the model file, and writes a model card, README.md, beside the model file.
"""

import argparse
import sys
from pathlib import Path

from training import cli
from training.evaluation.options import EvaluateOptions

SUBSET = 200
"""Default number of photos for the tests of changed photos, which take several minutes."""


def parse(arguments: list[str] | None) -> EvaluateOptions:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        "python -m training.evaluate", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("model", type=Path, metavar="MODEL.h5")
    cli.add_manifest(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where figures.json and the pictures go (default MODEL_evaluation, beside the model)",
    )
    parser.add_argument(
        "--subset",
        type=cli.positive_int,
        default=SUBSET,
        metavar="N",
        help="number of random test photos of lesions for the tests of changed photos and of the "
        f"heat map; each is judged 13 times (default {SUBSET})",
    )
    cli.add_seed(parser, "the subset and the intervals")
    parsed = parser.parse_args(arguments)
    parsed.out = parsed.out or parsed.model.with_name(f"{parsed.model.stem}_evaluation")
    return EvaluateOptions(**vars(parsed))


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(
        "evaluate",
        lambda: _evaluate(parse(arguments)),
        stopped="the model file and its card are unchanged",
    )


def _evaluate(options: EvaluateOptions) -> None:
    from lens import artifact
    from training.evaluation import measure, tables

    artifact.read_card(options.model)  # Reports an unusable file.
    sha256 = artifact.sha256(options.model)
    report = measure.measure(options)
    print("\n" + tables.all_tables(report))
    readme = measure.write(report, options, sha256)
    stored = f", and the card in {options.model}" if artifact.has_card(options.model) else ""
    print(f"wrote {options.out}/ (figures.json, *.png), {readme}{stored}")


if __name__ == "__main__":
    sys.exit(main())
