"""What a teacher says of every image in a manifest: what cnn7 is distilled from."""

import argparse
import os
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
from keras import layers
from tqdm import tqdm

from lens.artifact import InvalidModel, load, sha256
from lens.images import SIZE
from training.data import decode_row
from training.manifest import ManifestError, Row, read_manifest
from training.teacher import EMBEDDING, MissingWeights, teacher

BATCH = 32
IMAGENET = "imagenet"
SAVE_EVERY = 1024
"""Images between two saves: about 20 seconds of work on two idle cores."""


class EmbeddingsError(Exception):
    """A file of embeddings that cannot be used; ``str(error)`` says what to do."""


def read_embeddings(path: str | Path, rows: list[Row]) -> tuple[np.ndarray, np.ndarray | None]:
    """Read what the teacher says of these rows from a file that this command wrote.

    Returns:
        Embeddings float32 (len(rows), 1280), in the rows' order; and p(malignant), float32
        (len(rows), 1), or None from a teacher that knows nothing of lesions.

    Raises:
        EmbeddingsError: no such file, not such a file, or an image it lacks.
    """
    path = Path(path)
    known, taught_by = _load(path)
    keys = [_key(path, row) for row in rows]
    if missing := [key for key in keys if key not in known]:
        raise EmbeddingsError(
            f"{path} lacks {len(missing)} of {len(rows)} images, {missing[0]} the first; "
            "run training.embed again with every manifest"
        )
    said = np.array([known[key] for key in keys], np.float32).reshape(-1, EMBEDDING + 1)
    return said[:, :EMBEDDING], None if taught_by == IMAGENET else said[:, EMBEDDING:]


def embed(rows: list[Row], out: str | Path, model: Path | None = None) -> int:
    """Embed the rows that the file lacks. What is done is saved even when this is interrupted.

    Args:
        rows: images to embed, each through ``lens.images.decode`` at 250 px, as cnn7 sees it.
        out: an ``.npz`` of ``paths`` (n,), relative to its own folder; ``said``, float16
            (n, 1281), the embedding and p(malignant); and ``teacher``, the model's SHA-256 or
            ``imagenet``; written anew or added to.
        model: an ``efficientnet_lite0`` of ``training.train``; None for ImageNet's weights, whose
            p(malignant) is left at zero.

    Returns:
        How many images were embedded now.

    Raises:
        EmbeddingsError: ``out`` exists and is not such a file, or is another teacher's; or
            ``model`` is not a teacher.
        InvalidModel: ``model`` is no model file.
        ManifestError: an image is missing or cannot be decoded.
        MissingWeights: see ``training.teacher``.
    """
    out = Path(out)
    name = sha256(model) if model else IMAGENET
    known, taught_by = _load(out) if out.exists() else ({}, name)
    if taught_by != name:
        raise EmbeddingsError(
            f"{out} holds what another teacher said ({taught_by[:12]}, now {name[:12]}); "
            "name another file, or delete it to start anew"
        )
    rows = [row for row in rows if _key(out, row) not in known]
    if not rows:
        return 0
    forward = _open_teacher(model)
    bar = tqdm(total=len(rows), desc="embedding", unit="image")
    try:
        with bar, ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(rows), BATCH):
                batch = rows[start : start + BATCH]
                pixels = np.stack(list(pool.map(decode_row, batch))).astype(np.float32)
                keys = [_key(out, row) for row in batch]
                known.update(zip(keys, forward(pixels).astype(np.float16), strict=True))
                bar.update(len(batch))
                if (start + BATCH) % SAVE_EVERY == 0:
                    _save(out, known, name)
    finally:
        _save(out, known, name)
    return len(rows)


def _open_teacher(path: Path | None) -> Callable[[np.ndarray], np.ndarray]:
    """Float pixels (n, 500, 500, 3) to embeddings and p(malignant) (n, 1281), with OpenVINO.

    On two AVX2 cores it embeds 86 images/s, ``predict_on_batch`` and ``tf.function`` 26.
    """
    import openvino
    from openvino.tools.ovc import convert_model

    # Keras looks for it there; ``lens.engine`` loads the package without it, to be light.
    openvino.convert_model = convert_model
    model = _imagenet_teacher() if path is None else _fine_tuned(path)
    with tempfile.TemporaryDirectory() as folder:
        model.export(f"{folder}/teacher.xml", format="openvino", verbose=False)
        # Float32 as in training; bfloat16, the default where a CPU has it, keeps three digits.
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(f"{folder}/teacher.xml", "CPU", settings)
    return lambda images: compiled(images)[0]


def _imagenet_teacher() -> keras.Model:
    pixels = keras.Input((SIZE, SIZE, 3), name="pixels")
    embedding = teacher()(layers.AveragePooling2D(2)(pixels))
    return keras.Model(pixels, keras.ops.pad(embedding, ((0, 0), (0, 1))))


def _fine_tuned(path: Path) -> keras.Model:
    model, _ = load(path)
    embedding = next((y.output for y in model.layers if y.name == "embedding"), None)
    if embedding is None or embedding.shape[-1] != EMBEDDING:
        raise EmbeddingsError(
            f"{path}: expected a model with an embedding of {EMBEDDING} numbers, as "
            "python -m training.train --network efficientnet_lite0 makes"
        )
    both = layers.Concatenate()([embedding, model.output["malignant"]])
    return keras.Model(model.input, both)


def _key(out: Path, row: Row) -> str:
    """The image's path from the embeddings' folder, so that both may move together."""
    return Path(os.path.relpath(row.path, out.parent)).as_posix()


def _load(path: Path) -> tuple[dict[str, np.ndarray], str]:
    try:
        with np.load(path) as file:
            said = dict(zip(file["paths"].tolist(), file["said"], strict=True))
            return said, str(file["teacher"])
    except FileNotFoundError as error:
        raise EmbeddingsError(f"{path}: no such file; run training.embed first") from error
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError) as error:
        raise EmbeddingsError(
            f"{path} is not a file of embeddings (paths, said and teacher in an .npz); "
            "name another, or delete it to start anew"
        ) from error


def _save(path: Path, known: dict[str, np.ndarray], name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        said = np.array(list(known.values()), np.float16).reshape(-1, EMBEDDING + 1)
        np.savez(file, paths=np.array(list(known), np.str_), said=said, teacher=name)
    partial.replace(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m training.embed", description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "--manifest", type=Path, required=True, metavar="FILE", help="what training.prepare wrote"
    )
    parser.add_argument(
        "--not-lesion", type=Path, metavar="FILE", help="its table of photographs of anything else"
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE.h5",
        help="an efficientnet_lite0 that training.train has fine-tuned (ImageNet's weights)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.npz",
        help="where the embeddings go; images it already holds are skipped",
    )
    return parser


def main(arguments: list[str] | None = None) -> None:
    """Embed what the arguments name and print how many, how fast."""
    given = _parser().parse_args(arguments)
    began = time.monotonic()
    try:
        rows = read_manifest(given.manifest)
        if given.not_lesion:
            rows += read_manifest(given.not_lesion)
        new = embed(rows, given.out, given.teacher)
    except (ManifestError, EmbeddingsError, InvalidModel, MissingWeights) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(f"\nStopped; {given.out} has what was done. The same command goes on from there.")
    seconds = time.monotonic() - began
    for source, count in Counter(row.source for row in rows).items():
        print(f"{source:12} {count:6} images")
    print(f"{new} embedded now in {seconds:.0f} s ({new / seconds:.1f} images/s): {given.out}")


if __name__ == "__main__":
    main()
