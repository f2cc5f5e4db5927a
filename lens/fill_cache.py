"""``molelens-convert MODEL.h5... --cache FOLDER``: convert models before they are served.

For servers without TensorFlow, which load the converted models with MOLELENS_CACHE=FOLDER.
"""

import argparse
import sys
from pathlib import Path

from lens import artifact, model_cache, openvino_runtime
from lens.probability import OUTPUTS


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="molelens-convert",
        description="Convert models for OpenVINO, for servers without TensorFlow.",
    )
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.h5")
    parser.add_argument(
        "--cache", type=Path, required=True, metavar="FOLDER", help="MOLELENS_CACHE of the servers"
    )
    parser.add_argument(
        "--output",
        choices=OUTPUTS,
        default=OUTPUTS[0],
        help="MOLELENS_OUTPUT of the servers (default %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        for model in options.models:
            fill(model, options.cache, options.output)
    except (artifact.InvalidModel, model_cache.NotConvertedError, OSError) as error:
        print(f"molelens-convert: {error}", file=sys.stderr)
        return 1
    return 0


def fill(model: Path, cache: Path, output: str) -> None:
    """Convert a model for any CPU, and for the precisions of this CPU."""
    artifact.read_card(model)
    for allowed in (openvino_runtime.FLOAT32, openvino_runtime.precisions()):
        entry = model_cache.convert_into(model, cache, allowed, output)
        print(f"{model}: {entry.precision} for {'/'.join(allowed)} in {entry.xml.parent}")


if __name__ == "__main__":
    sys.exit(main())
