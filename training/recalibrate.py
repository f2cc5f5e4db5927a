"""Fit a model's refusal, calibration and threshold on other photos, and keep its other weights.

Use it for a clinic's own photos: the right probabilities and threshold depend on the camera and on
how common melanomas are. The refusal is fitted on the manifest's train split and on not_lesion.csv
beside it, if there is one; calibration and threshold are fitted on the validation split:

    python -m training.recalibrate MODEL.h5 --out NEW.h5
"""

import argparse
import sys
from pathlib import Path

from training import cli
from training.fit.options import RecalibrateOptions


def parse(arguments: list[str] | None) -> RecalibrateOptions:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        "python -m training.recalibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", type=Path, metavar="MODEL.h5")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.h5")
    cli.add_manifest(parser)
    cli.add_seed(parser, "the images that the refusal is fitted on")
    command = cli.command_line("recalibrate", arguments)
    return RecalibrateOptions(**vars(parser.parse_args(arguments)), command=command)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(
        "recalibrate",
        lambda: _recalibrate(parse(arguments)),
        stopped="an existing model at --out is unchanged",
    )


def _recalibrate(options: RecalibrateOptions) -> None:
    cli.load_keras()
    from training.fit.recalibration import recalibrate
    from training.fit.run import describe

    print(describe(recalibrate(options), options.out, options.manifest))


if __name__ == "__main__":
    sys.exit(main())
