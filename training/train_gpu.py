"""Train two teachers and cnn7 on one GPU with PyTorch: ``python -m training.train_gpu``.

Finished phases (each teacher, the bank of the teachers' predictions, cnn7) are kept in --out; after
an interruption the same command continues with the next phase. The result is two model files that
training.recalibrate must still calibrate.
"""

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from training import cli
from training.gpu.options import GpuOptions
from training.gpu.recipe import RECIPES


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        "python -m training.train_gpu", description=__doc__, allow_abbrev=False
    )
    cli.add_manifest(parser)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--out", type=Path, metavar="DIR", help="for the finished phases and models")
    mode.add_argument(
        "--pack",
        type=Path,
        metavar="DIR",
        help="do not train, but write small copies of the photos with a manifest, to copy to a "
        "machine with a GPU",
    )
    parser.add_argument(
        "--minutes",
        type=_minutes,
        default=12.0,
        metavar="N",
        help="duration of the whole run, of which each phase gets a share (default 12)",
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        default="h100",
        help="trial runs a few steps of each phase, also on a CPU (default h100)",
    )
    cli.add_seed(
        parser, "the initial weights and views; the number of steps still varies with the speed"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run(
        "train_gpu",
        lambda: _train_or_pack(arguments),
        stopped="the same command continues after the last finished phase",
    )


def _train_or_pack(arguments: list[str] | None) -> None:
    parsed = parse(arguments)
    if parsed.pack:
        _pack(parsed.manifest, parsed.pack)
        return
    if not importlib.util.find_spec("torch"):
        raise cli.UsageError("PyTorch is not installed: pip install torch")
    # Keras only builds and writes the model files, which does not need TensorFlow.
    os.environ.setdefault("KERAS_BACKEND", "torch")
    cli.load_keras()
    from training.gpu.run import GpuRun

    options = GpuOptions(
        manifest=parsed.manifest,
        out=parsed.out,
        minutes=parsed.minutes,
        recipe=parsed.recipe,
        seed=parsed.seed,
        command=cli.command_line("train_gpu", arguments),
    )
    GpuRun(options).train()


def _pack(manifest: Path, folder: Path) -> None:
    cli.load_keras()
    from training.gpu.pack import pack

    size = pack(manifest, folder)
    print(
        f"wrote {folder}, {size / 1e6:,.0f} MB; on the other machine run: "
        f"python -m training.train_gpu --manifest {folder.name}/manifest.csv --out DIR"
    )


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < 24 * 60:
        raise argparse.ArgumentTypeError(f"expected minutes above 0 and below 1440, got {text!r}")
    return minutes


if __name__ == "__main__":
    sys.exit(main())
