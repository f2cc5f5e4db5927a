"""The OpenVINO copy of a model file: found in the cache and verified, or made by a child process.

An entry is a folder named after what it was made from and by. Its record holds the checksums of
its files and how far OpenVINO's answers are from Keras's; an entry that does not match its record
is made again. This module never imports TensorFlow.
"""

import contextlib
import errno
import importlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lens import artifact, killed, locks

log = logging.getLogger(__name__)

REVISION = 2
"""Counts changes of ``lens.convert`` that make older entries unfit; raise it with each."""

MAX_DIFFERENCE = 2e-3
"""Largest difference of a probability from Keras in float32 at which OpenVINO may serve. In float32
both are up to 0.0006 from the exact value where a network averages 78,000 equal values, as those of
a white photo; elsewhere 0.00001."""

INVALID_MODEL = 65
"""Exit status of the child, its reason on stdout, for no good model (EX_DATAERR, sysexits.h)."""

PATIENCE = 600
"""Longest conversion, in seconds; 10 to 20 are usual, most of it the import of TensorFlow."""

SPARE_BYTES = 4 * 2**20
"""Room to leave on a disk beside the copy, which is no larger than the file it is made from."""

FLOAT32 = ["f32"]
"""The precisions of a CPU that computes in float32 alone, and that every other CPU can do."""

RECORD = "record.json"
FILES = ("model.xml", "model.bin")


@dataclass(frozen=True)
class Converted:
    """A verified entry: the OpenVINO model's path and the precision to run it at."""

    xml: Path
    precision: str


class NotConvertedError(Exception):
    """There is no OpenVINO copy to serve; ``differs`` tells a copy that fails the parity check."""

    def __init__(self, message: str, differs: bool = False) -> None:
        super().__init__(message)
        self.differs = differs


class ConverterKilledError(NotConvertedError):
    """A signal ended the process that converts; TensorFlow would end this one too."""


def converted(
    path: Path, cache_dir: str | Path | None = None, output: str = "probability"
) -> Converted:
    """The OpenVINO copy of a Keras ``.h5``, converted now if the cache has no sound one.

    Several processes may call this at once: one converts, the others wait for it. A cache that
    cannot be written, or whose disk is full, is bypassed, with a warning, for a private folder
    among temporary files. An installation without TensorFlow converts nothing; it also takes a
    copy that was made for float32 on another machine, since every CPU computes in float32.

    Raises:
        artifact.InvalidModel: the file is missing, corrupt, carries code, or gives no probability.
        NotConvertedError: conversion failed or is impossible here, or the copy's answers differ
            from Keras's.
    """
    artifact.read_card(path)  # Names what is wrong with a file at once, without a child process.
    cache = Path(cache_dir) if cache_dir else default_cache()
    if not can_convert():
        return _converted_elsewhere(path, cache, output)
    try:
        return converted_into(path, cache, precisions(), output)
    except OSError as error:
        log.warning(
            "The model cache %s cannot be used (%s); using a temporary folder", cache, error
        )
    return converted_into(path, _private_temporary(), precisions(), output)


def converted_into(
    path: Path, cache: Path, allowed: list[str], output: str = "probability"
) -> Converted:
    """The copy in this cache for a CPU of these precisions, converted now if it has none.

    Raises:
        OSError: the cache cannot be written.
    """
    key = _key(path, allowed, output)
    return _found(cache / key) or _made(path, cache, key, allowed, output)


def can_convert() -> bool:
    """Whether the packages that conversion needs are installed; a server can do without them."""
    return all(importlib.util.find_spec(name) for name in ("tensorflow", "keras"))


def _converted_elsewhere(path: Path, cache: Path, output: str) -> Converted:
    for allowed in (precisions(), FLOAT32):
        if entry := _found(cache / _key(path, allowed, output)):
            return entry
    raise NotConvertedError(
        f"{path} has not been converted for OpenVINO, and this installation cannot convert it, "
        f"since TensorFlow is not installed. Looked in {cache}. Run `python -m lens.fill_cache "
        f"{path} --cache FOLDER` where TensorFlow is installed, and set MOLELENS_CACHE=FOLDER here"
    )


def default_cache() -> Path:
    """``molelens`` in the user's cache folder (XDG base directory specification)."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path("~/.cache").expanduser()) / "molelens"


def load_openvino() -> Any:
    """The package openvino without its model converter.

    Importing the converter takes 0.3 s and 18 MB that a web worker has no use for, and sends an
    event to an analytics service each time (openvino/tools/ovc/__init__.py). The package goes on
    without it where it cannot be imported.
    """
    converter = "openvino.tools.ovc"
    if "openvino" not in sys.modules:
        sys.modules[converter] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    finally:
        if sys.modules.get(converter) is None:
            sys.modules.pop(converter, None)


def precisions() -> list[str]:
    """Precisions to serve at, the best first: bf16 where the CPU computes in it, and f32.

    OpenVINO reports BF16 only for AVX512_BF16, AMX or AVX-VNNI-2, though its own default is bf16
    on any AVX-512, where it is emulated: slower and less exact (openvino, cpu plugin/plugin.cpp).
    """
    capable = load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ["bf16", *FLOAT32] if "BF16" in capable else FLOAT32


def run_options(precision: str, threads: int | None = None) -> dict[str, Any]:
    """OpenVINO's options for one request at a time on ``threads`` threads (None: every core)."""
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        # Pinned, the first threads of all worker processes would share the first core.
        "ENABLE_CPU_PINNING": False,
    }
    return options if threads is None else {**options, "INFERENCE_NUM_THREADS": threads}


def _key(path: Path, allowed: list[str], output: str) -> str:
    version = importlib.metadata.version("openvino")
    made_by = f"{'-'.join(allowed)}-openvino{version}-r{REVISION}"
    return f"{artifact.sha256(path)}-{output}-{made_by}"


def _found(entry: Path) -> Converted | None:
    """The entry if it is whole; None if it is missing, or, with a warning, damaged."""
    if not entry.exists():
        return None
    try:
        record = json.loads((entry / RECORD).read_text())
        whole = all(artifact.sha256(entry / name) == record["sha256"][name] for name in FILES)
        precision, difference = record["precision"], float(record["difference"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("The converted model %s is damaged (%s); converting again", entry, error)
        return None
    if not whole:
        log.warning("The converted model %s does not match its checksums; converting again", entry)
        return None
    if not difference <= MAX_DIFFERENCE:
        raise NotConvertedError(
            f"OpenVINO's probabilities differ from Keras's by {difference:.2g}, "
            f"and {MAX_DIFFERENCE:g} is allowed",
            differs=True,
        )
    return Converted(entry / FILES[0], precision)


def _made(path: Path, cache: Path, key: str, allowed: list[str], output: str) -> Converted:
    cache.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(cache / f"{key}.lock"):
        # Another process may have converted while this one waited for the lock.
        if entry := _found(cache / key):
            return entry
        if shutil.disk_usage(cache).free < path.stat().st_size + SPARE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(cache))
        with tempfile.TemporaryDirectory(dir=cache, prefix=".converting-") as folder:
            _convert(path, Path(folder), allowed, output)
            _put(Path(folder) / "entry", cache / key)
    entry = _found(cache / key)
    if entry is None:
        raise NotConvertedError(f"the entry just written to {cache} cannot be read back")
    return entry


def _put(entry: Path, place: Path) -> None:
    """Move a finished entry to its place, in which a damaged one may lie."""
    if place.exists():
        shutil.rmtree(place)
    try:
        entry.replace(place)
    except OSError:
        # Without locks, another process may have converted at the same time, and was first.
        if not place.exists():
            raise


def _convert(path: Path, folder: Path, allowed: list[str], output: str) -> None:
    """Run the child process; it writes ``folder``/entry."""
    log.info("Converting %s for OpenVINO; only the first start does this", path)
    root = Path(__file__).resolve().parent.parent
    # The path as it was given, for the child's words.
    entry = str(folder.absolute() / "entry")
    command = [sys.executable, "-m", "lens.convert", str(path.absolute()), entry]
    command += ["--output", output, "--precisions", *allowed]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")])),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",  # A GPU may compute in TF32; parity is against float32.
    }
    try:
        child = subprocess.run(  # noqa: S603 - ourselves, no shell
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotConvertedError(f"conversion did not run to its end: {error}") from error
    if child.returncode == INVALID_MODEL:
        raise artifact.InvalidModel(child.stdout.strip().splitlines()[-1])
    if child.returncode < 0:
        raise ConverterKilledError(
            f"the process that converts it was ended by {killed.by_signal(-child.returncode)}; "
            "converting takes a processor with AVX and 1.1 GB of memory: serve the model on a "
            "machine with both, or copy the converted model (MOLELENS_CACHE) from one"
        )
    if child.returncode != 0:
        said = child.stderr.strip()
        log.warning("The conversion of %s failed:\n%s", path, said[-4000:])
        last = said.splitlines()[-1] if said else "it said nothing"
        raise NotConvertedError(f"conversion failed (exit status {child.returncode}): {last}")


def _private_temporary() -> Path:
    """A folder among temporary files, shared by this user's processes and by nobody else."""
    folder = Path(tempfile.gettempdir()) / f"molelens-cache-{os.getuid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700)
        return folder
    # It exists. Anybody may have made it, to have us load a model of theirs.
    state = folder.lstat()
    if folder.is_symlink() or state.st_uid != os.getuid() or state.st_mode & 0o077:
        return Path(tempfile.mkdtemp(prefix="molelens-cache-"))
    return folder
