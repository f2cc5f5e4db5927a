"""Compare variants of cnn7, trained on one bank of augmented views that a teacher predicts once.

    python -m bench.trial wide --manifest data/manifest.csv --folder runs/trials

The first trial fills the bank; the others read it. Each trains its variant from random weights,
refits the last layers, and prints the AUC on validation. After an interruption the same command
continues.
"""

import argparse
import json
import sys
from pathlib import Path

from bench.trial_options import NAMES, TrialOptions
from lens.files import replacing
from training import cli

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="bench.trial", description=__doc__.partition("\n")[0])
    parser.add_argument("variant", choices=NAMES)
    cli.add_manifest(parser)
    parser.add_argument(
        "--folder", type=Path, required=True, metavar="DIR", help="for the bank and the results"
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        default=ROOT / "models" / "efficientnet_lite0" / "efficientnet_lite0.h5",
        metavar="FILE.h5",
        help="an efficientnet_lite0 (default: the one in models/)",
    )
    options = TrialOptions(**vars(parser.parse_args(arguments)))
    return cli.run("trial", lambda: _run(options), stopped="the same command continues")


def _run(options: TrialOptions) -> None:
    cli.load_keras()
    from bench.trial_training import run_trial

    report = json.dumps(run_trial(options), indent=1)
    with replacing(options.folder / f"{options.variant}.json") as partial:
        partial.write_text(report + "\n")
    print(report)


if __name__ == "__main__":
    sys.exit(main())
