"""Train teachers and cnn7 on one GPU with PyTorch: ``python -m training.train_gpu``.

What is finished (each teacher, the bank of judged views, cnn7) stays in --out, and the same command
goes on after it. Ends with two model files that are not calibrated: training.recalibrate does that.
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
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="DIR", help="for the finished phases and models")
    what.add_argument(
        "--pack",
        type=Path,
        metavar="DIR",
        help="train nothing: write small copies of the photos, with a manifest of them, to carry "
        "to a machine with a GPU",
    )
    parser.add_argument(
        "--minutes",
        type=_minutes,
        default=12.0,
        metavar="N",
        help="of the whole run; each phase has a share of them (default 12)",
    )
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        default="h100",
        help="trial takes some steps of each network, on a CPU too (default h100)",
    )
    cli.add_seed(parser, "of first weights and views; how many steps fit the time differs anyway")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    return cli.run(
        "train_gpu",
        lambda: _train_or_pack(arguments),
        stopped="the same command goes on after the last finished phase",
    )


def _train_or_pack(arguments: list[str] | None) -> None:
    parsed = parse(arguments)
    if parsed.pack:
        _pack(parsed.manifest, parsed.pack)
        return
    if not importlib.util.find_spec("torch"):
        raise cli.UsageError("PyTorch is not installed: pip install torch")
    # Keras only builds and writes the model files; TensorFlow is not needed.
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
        f"{folder}: {size / 1e6:,.0f} MB; there: python -m training.train_gpu --manifest "
        f"{folder.name}/manifest.csv --out DIR"
    )


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < 24 * 60:
        raise argparse.ArgumentTypeError(f"expected minutes above 0, got {text!r}")
    return minutes


if __name__ == "__main__":
    sys.exit(main())
