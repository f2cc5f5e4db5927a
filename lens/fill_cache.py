"""``molelens-convert MODEL.h5... --cache FOLDER``: convert models before they are served.

For servers without TensorFlow. They find the copies by MOLELENS_CACHE=FOLDER and need no right to
write there.
"""

import argparse
import sys
from pathlib import Path

from lens import artifact, model_cache


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="molelens-convert",
        description="Convert models for OpenVINO, for servers that hold no TensorFlow.",
    )
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.h5")
    parser.add_argument(
        "--cache", type=Path, required=True, metavar="FOLDER", help="MOLELENS_CACHE of the servers"
    )
    options = parser.parse_args(arguments)
    try:
        for model in options.models:
            fill(model, options.cache)
    except (artifact.InvalidModel, model_cache.NotConvertedError, OSError) as error:
        print(f"molelens-convert: {error}", file=sys.stderr)
        return 1
    return 0


def fill(model: Path, cache: Path) -> None:
    """Convert a model for this CPU, and for every CPU."""
    artifact.read_card(model)
    for allowed in (model_cache.FLOAT32, model_cache.precisions()):
        entry = model_cache.converted_into(model, cache, allowed)
        print(f"{model}: {entry.precision} for {'/'.join(allowed)} in {entry.xml.parent}")


if __name__ == "__main__":
    sys.exit(main())
