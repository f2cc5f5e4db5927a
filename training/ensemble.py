"""Average trained models into one, calibrated and with its thresholds on the validation split.

Networks of different design make different mistakes, so their mean can be better than the best of
them (docs/experiments.md says where it was), at the cost of running all of them:

    python -m training.ensemble A.h5 B.h5 --out ENSEMBLE.h5
"""

import argparse
import sys
from pathlib import Path

from training import cli
from training.fit.options import EnsembleOptions


def parse(arguments: list[str] | None) -> EnsembleOptions:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        "python -m training.ensemble",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.h5")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.h5")
    cli.add_manifest(parser)
    command = cli.command_line("ensemble", arguments)
    return EnsembleOptions(**vars(parser.parse_args(arguments)), command=command)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(
        "ensemble",
        lambda: _make(parse(arguments)),
        stopped="an existing model at --out is unchanged",
    )


def _make(options: EnsembleOptions) -> None:
    cli.load_keras()
    from training.fit.ensembles import make_ensemble
    from training.fit.run import describe

    print(describe(make_ensemble(options), options.out, options.manifest))


if __name__ == "__main__":
    sys.exit(main())
