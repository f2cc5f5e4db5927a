"""Shared fixtures: a small real model, the app with it, and gunicorn with the app."""

import fcntl
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import coverage
import pytest
from flask import Flask
from flask.testing import FlaskClient
from serving import ROOT, folder_in_memory, gunicorn, settings_for

from app import create_app

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

TESTS = ROOT / "tests"
QUICK_FOLDERS = {TESTS, TESTS / "app", TESTS / "lens"}
QUICK_FOLDERS |= {
    TESTS / "training" / name for name in ("datasets", "evaluation", "test_prepare.py")
}
LOADS_TENSORFLOW = re.compile(
    r"^ *(import|from) (keras|training\.(fit|networks))|import (fill_cache|networks)\b",
    re.MULTILINE,
)
GUNICORN_FIXTURE = "served"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="only unit tests: no server, browser or TensorFlow"
    )


@cache
def is_quick(file: Path) -> bool:
    """Whether a test file is in a quick folder and does not import TensorFlow."""
    inside = not QUICK_FOLDERS.isdisjoint({file, file.parent})
    return inside and not LOADS_TENSORFLOW.search(file.read_text())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --quick, ignore all other test files."""
    if not config.getoption("quick") or not collection_path.is_file():
        return None
    return not is_quick(collection_path) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run slow files first; with --quick, deselect the few tests that need gunicorn.

    Parallel processes finish at nearly the same time if the last files are quick.
    """
    items.sort(key=lambda item: is_quick(item.path))
    if config.getoption("quick"):
        slow = [item for item in items if GUNICORN_FIXTURE in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the coverage of each package; ``coverage report -m`` shows the lines afterwards."""
    if not config.pluginmanager.hasplugin("_cov"):
        return
    measured = coverage.Coverage()
    measured.load()
    try:
        shares = {
            package: measured.report(include=f"{package}/*", file=io.StringIO())
            for package in ("app", "lens", "training")
        }
    except coverage.exceptions.NoDataError:  # pytest ended without running a test.
        return
    terminalreporter.section("coverage of the code that ran in pytest's own processes")
    for package, share in shares.items():
        terminalreporter.line(f"{package:10}{share:.0f} %")


@pytest.fixture(scope="session")
def tiny_model(pytestconfig: pytest.Config) -> Path:
    """A real .h5 with a card: a dark spot is malignant, a pale one benign, and blue is no lesion.

    Building and converting it takes half a minute, so the result is in pytest's cache until its
    source files change.
    """
    script = ROOT / "tests" / "tiny_model.py"
    source_files = (script, ROOT / "lens" / "artifact.py", ROOT / "lens" / "card.py")
    sources = b"".join(path.read_bytes() for path in source_files)
    folder = pytestconfig.cache.mkdir(f"tiny-model-{hashlib.sha256(sources).hexdigest()[:12]}")
    path = folder / "tiny.h5"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Only one of several test processes builds it.
        if not path.exists():
            fresh = folder / "fresh.h5"
            subprocess.run([sys.executable, str(script), str(fresh)], check=True, cwd=ROOT)
            fresh.replace(path)
    return path


@pytest.fixture(scope="session")
def engine_cache(tiny_model: Path) -> Path:
    return tiny_model.parent / "engine"


@pytest.fixture
def converted_once(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the cache of converted models that persists between test runs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tiny_model.parent))


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """An empty folder in memory, for one test."""
    with folder_in_memory() as path:
        yield path


@pytest.fixture
def settings(tiny_model: Path, engine_cache: Path, memory_folder: Path) -> dict[str, str]:
    """Settings of the app for one test, which may change them."""
    return settings_for(tiny_model, engine_cache, memory_folder)


@pytest.fixture(scope="session")
def shared_app(tiny_model: Path, engine_cache: Path) -> Iterator[Flask]:
    with folder_in_memory() as folder:
        yield create_app(settings_for(tiny_model, engine_cache, folder))


@pytest.fixture
def client(shared_app: Flask) -> FlaskClient:
    """A client of an app that all tests share. A test that changes the app uses ``app`` instead."""
    return shared_app.test_client()


@pytest.fixture
def app(settings: dict[str, str]) -> Flask:
    """An app for one test."""
    return create_app(settings)


@pytest.fixture
def make_app(settings: dict[str, str]) -> Callable[..., Flask]:
    """Create an app with some settings changed: ``make_app(RATE_LIMIT="2/minute")``."""
    return lambda **changed: create_app(
        {**settings, **{f"MOLELENS_{name}": value for name, value in changed.items()}}
    )


@pytest.fixture(scope="session")
def served(
    tiny_model: Path, engine_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The URL of a running gunicorn with the project's configuration."""
    log = tmp_path_factory.mktemp("log") / "gunicorn.log"
    with (
        folder_in_memory() as folder,
        gunicorn(settings_for(tiny_model, engine_cache, folder), log) as server,
    ):
        yield server.url


@pytest.fixture(scope="session")
def without_locks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes flock() fail in a folder, as on NFS, Lustre or SMB."""
    if not shutil.which("gcc"):
        pytest.skip("needs gcc")
    library = tmp_path_factory.mktemp("nolock") / "nolock.so"
    source = ROOT / "tests" / "without_locks.c"
    command = ["gcc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library
