"""Find a model file's OpenVINO copy in the cache, or convert the file in a child process.

Each entry is a folder. Its name contains the model's checksum and everything else that the copy
depends on. Its record contains the checksums of its files and the largest difference from Keras; a
damaged entry is created again. This module never imports TensorFlow.
"""

import contextlib
import errno
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

from lens import artifact, child_process, openvino_runtime
from lens.files import exclusive_lock

log = logging.getLogger(__name__)

CONVERTER_REVISION = 3
"""Increase it when ``lens.convert`` changes in such a way that older entries must not be used."""

MAX_DIFFERENCE = 2e-3
"""Largest allowed difference of a probability between OpenVINO and Keras, both in float32.

Typically it is 0.00001. With a network that averages 78,000 equal values, as for a white photo,
both are up to 0.0006 from the exact value."""

MAX_ROUNDING = 0.05
"""Largest allowed difference of a probability in bf16 from Keras's, on the artificial images.

With cnn7 it is 0.03. With its predecessor, which had the same difference, bf16 changed 6 of 1,579
verdicts on validation photos, five of them close to the threshold and one close to the limit of
refusal, and a view took 8.4 instead of 15.0 ms of CPU (AMD EPYC with AVX512_BF16)."""

EXIT_INVALID_MODEL = 65
"""Exit status of the child process for an unusable model, explained on stdout (EX_DATAERR)."""

CONVERSION_TIMEOUT_SECONDS = 600
"""A conversion typically takes 10 to 20 s, most of it for importing TensorFlow."""

DISK_RESERVE_BYTES = 4 * 2**20
"""Free space required beyond the size of the model file; the copy is no larger than that file."""

RECORD = "record.json"
FILES = ("model.xml", "model.bin")


@dataclass(frozen=True)
class Converted:
    """A verified entry: the path of the OpenVINO model and the precision to run it in."""

    xml: Path
    precision: str


class NotConvertedError(Exception):
    """No OpenVINO copy can be served. ``differs``: because its results differ from Keras's."""

    def __init__(self, message: str, differs: bool = False) -> None:
        super().__init__(message)
        self.differs = differs


class ConverterKilledError(NotConvertedError):
    """A signal killed the child process; TensorFlow would have killed this process, too."""


def converted(
    path: Path, cache_dir: str | Path | None = None, output: str = "probability"
) -> Converted:
    """Return the OpenVINO copy of a Keras ``.h5``; convert the file if the cache has no valid copy.

    Several processes may call this at the same time: one converts while the others wait. If the
    cache cannot be written, a private temporary folder is used instead, with a warning. Without
    TensorFlow nothing is converted, but a float32 copy from another machine is accepted, too.

    Raises:
        artifact.InvalidModel: the file is missing, corrupt, contains code, or gives no probability.
        NotConvertedError: conversion failed or is impossible here, or the copy's results differ
            from Keras's.
    """
    artifact.read_card(path)  # Reports unusable files without starting a child process.
    cache = Path(cache_dir) if cache_dir else default_cache()
    if not can_convert():
        return _converted_elsewhere(path, cache, output)
    try:
        return convert_into(path, cache, openvino_runtime.precisions(), output)
    except OSError as error:
        log.warning(
            "The model cache %s cannot be used (%s); using a temporary folder", cache, error
        )
    return convert_into(path, _private_temporary_folder(), openvino_runtime.precisions(), output)


def convert_into(
    path: Path, cache: Path, allowed: list[str], output: str = "probability"
) -> Converted:
    """Return the copy in this cache for a CPU with these precisions; convert if there is none.

    Raises:
        OSError: the cache cannot be written.
        artifact.InvalidModel: the file is not a model, or was replaced meanwhile.
    """
    key = _key(path, allowed, output)
    return _read_entry(cache / key) or _create_entry(path, cache, key, allowed, output)


def can_convert() -> bool:
    """Whether the packages for conversion are installed; a server does not need them."""
    return all(importlib.util.find_spec(name) for name in ("tensorflow", "keras"))


def _converted_elsewhere(path: Path, cache: Path, output: str) -> Converted:
    for allowed in (openvino_runtime.precisions(), openvino_runtime.FLOAT32):
        if entry := _read_entry(cache / _key(path, allowed, output)):
            return entry
    raise NotConvertedError(
        f"{path} has not been converted for OpenVINO, and this installation cannot convert it, "
        f"since TensorFlow is not installed. Looked in {cache}. Run `python -m lens.fill_cache "
        f"{path} --cache FOLDER --output {output}` where TensorFlow is installed, and set "
        "MOLELENS_CACHE=FOLDER here"
    )


def default_cache() -> Path:
    """``molelens`` in the user's cache folder (XDG base directory specification)."""
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(home) if home else Path("~/.cache").expanduser()) / "molelens"
    except RuntimeError:  # The user has no home folder.
        return _private_temporary_folder()


def _key(path: Path, allowed: list[str], output: str) -> str:
    version = importlib.metadata.version("openvino")
    converter = f"{'-'.join(allowed)}-openvino{version}-r{CONVERTER_REVISION}"
    return f"{artifact.sha256(path)}-{output}-{converter}"


def _read_entry(entry: Path) -> Converted | None:
    """Return an entry if it is valid; None if it is missing, or damaged (which is logged)."""
    if not entry.exists():
        return None
    try:
        record = json.loads((entry / RECORD).read_text())
        matches = all(artifact.sha256(entry / name) == record["sha256"][name] for name in FILES)
        precision, difference = record["precision"], float(record["difference"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("The converted model %s is damaged (%s); converting again", entry, error)
        return None
    if not matches:
        log.warning("The converted model %s does not match its checksums; converting again", entry)
        return None
    if not difference <= MAX_DIFFERENCE:
        raise NotConvertedError(
            f"OpenVINO's probabilities differ from Keras's by {difference:.2g}, "
            f"and {MAX_DIFFERENCE:g} is allowed",
            differs=True,
        )
    return Converted(entry / FILES[0], precision)


def _create_entry(path: Path, cache: Path, key: str, allowed: list[str], output: str) -> Converted:
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(cache / f"{key}.lock"):
        # Another process may have converted while this one waited for the lock.
        if entry := _read_entry(cache / key):
            return entry
        if shutil.disk_usage(cache).free < path.stat().st_size + DISK_RESERVE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(cache))
        with tempfile.TemporaryDirectory(dir=cache, prefix=".converting-") as folder:
            _convert(path, Path(folder), allowed, output)
            if not key.startswith(artifact.sha256(path)):
                raise artifact.InvalidModel(
                    f"{path}: the file was replaced while it was being converted; start again"
                )
            _move(Path(folder) / "entry", cache / key)
    entry = _read_entry(cache / key)
    if entry is None:
        raise NotConvertedError(f"the entry just written to {cache} cannot be read back")
    return entry


def _move(entry: Path, target: Path) -> None:
    """Move a finished entry into the cache, replacing a damaged one."""
    if target.exists():
        if _read_entry(target):  # Another process, without locks; it may be in use already.
            return
        shutil.rmtree(target)
    try:
        entry.replace(target)
    except OSError:
        # On a file system without locks, another process may have converted at the same time.
        if not target.exists():
            raise


def _convert(path: Path, folder: Path, allowed: list[str], output: str) -> None:
    """Write ``folder``/entry in a child process."""
    log.info("Converting %s for OpenVINO; only the first start does this", path)
    # Links in the path are not resolved, so that error messages name the path that was given.
    command = [sys.executable, "-m", "lens.convert", str(path.absolute())]
    command += [str(folder.absolute() / "entry"), "--output", output, "--precisions", *allowed]
    environment = child_process.environment(
        KERAS_BACKEND="tensorflow",
        TF_CPP_MIN_LOG_LEVEL="3",
        CUDA_VISIBLE_DEVICES="-1",  # A GPU may compute in TF32; the comparison is in float32.
    )
    try:
        child = subprocess.run(  # noqa: S603 - our own module, no shell
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=CONVERSION_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotConvertedError(f"conversion did not finish: {error}") from error
    _check_exit_status(child, path)


def _check_exit_status(child: "subprocess.CompletedProcess[str]", path: Path) -> None:
    """Raise an error unless the conversion succeeded."""
    if child.returncode == EXIT_INVALID_MODEL:
        raise artifact.InvalidModel(child.stdout.strip().splitlines()[-1])
    if child.returncode < 0:
        raise ConverterKilledError(
            "the process that converts it was killed by "
            f"{child_process.describe_signal(-child.returncode)}; converting needs a processor "
            "with AVX and 1.1 GB of memory: serve the model on a machine with both, or copy the "
            "converted model (MOLELENS_CACHE) from one"
        )
    if child.returncode != 0:
        errors = child.stderr.strip()
        log.warning("The conversion of %s failed:\n%s", path, errors[-4000:])
        last_line = errors.splitlines()[-1] if errors else "no message"
        raise NotConvertedError(f"conversion failed (exit status {child.returncode}): {last_line}")


def _private_temporary_folder() -> Path:
    """A temporary folder that all processes of this user share and no other user can write to."""
    folder = Path(tempfile.gettempdir()) / f"molelens-cache-{os.getuid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700)
        return folder
    # The folder exists. An attacker may have created it to plant a model.
    state = folder.lstat()
    if folder.is_symlink() or state.st_uid != os.getuid() or state.st_mode & 0o077:
        return Path(tempfile.mkdtemp(prefix="molelens-cache-"))
    return folder
