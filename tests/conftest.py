"""Shared fixtures: a real small model, the app on it, and gunicorn on loopback."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from serving import ROOT, folder_in_memory, gunicorn, settings_for

from app import create_app

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def tiny_model(pytestconfig: pytest.Config) -> Path:
    """A real .h5 with a card: a dark spot is malignant, a pale one benign, blue is no lesion.

    Building it and converting it takes Keras half a minute, so both stay in pytest's cache until
    what they are made from changes.
    """
    script = ROOT / "tests" / "tiny_model.py"
    made_from = (script, ROOT / "lens" / "artifact.py", ROOT / "lens" / "card.py")
    sources = b"".join(path.read_bytes() for path in made_from)
    folder = pytestconfig.cache.mkdir(f"tiny-model-{hashlib.sha256(sources).hexdigest()[:12]}")
    path = folder / "tiny.h5"
    if not path.exists():
        fresh = folder / f"{os.getpid()}.h5"
        subprocess.run([sys.executable, str(script), str(fresh)], check=True, cwd=ROOT)
        fresh.replace(path)
    return path


@pytest.fixture(scope="session")
def engine_cache(tiny_model: Path) -> Path:
    return tiny_model.parent / "engine"


@pytest.fixture
def converted_once(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the converted model beside the tiny model, from one run of the tests to the next."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tiny_model.parent))


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """A folder of this test alone, in memory."""
    with folder_in_memory() as path:
        yield path


@pytest.fixture
def settings(tiny_model: Path, engine_cache: Path, memory_folder: Path) -> dict[str, str]:
    """Settings with which the app starts in a test; a test may change its copy."""
    return settings_for(tiny_model, engine_cache, memory_folder)


@pytest.fixture(scope="session")
def shared_app(tiny_model: Path, engine_cache: Path) -> Iterator[Flask]:
    with folder_in_memory() as folder:
        yield create_app(settings_for(tiny_model, engine_cache, folder))


@pytest.fixture
def client(shared_app: Flask) -> FlaskClient:
    """A visitor of an app that tests share; a test that breaks its app takes ``app``."""
    return shared_app.test_client()


@pytest.fixture
def app(settings: dict[str, str]) -> Flask:
    """An app of this test alone."""
    return create_app(settings)


@pytest.fixture
def make_app(settings: dict[str, str]) -> Callable[..., Flask]:
    """The app with some settings changed: ``make_app(RATE_LIMIT="2/minute")``."""
    return lambda **changed: create_app(
        {**settings, **{f"MOLELENS_{name}": value for name, value in changed.items()}}
    )


@pytest.fixture(scope="session")
def served(
    tiny_model: Path, engine_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of real gunicorn with its real configuration, on loopback."""
    log = tmp_path_factory.mktemp("log") / "gunicorn.log"
    with (
        folder_in_memory() as folder,
        gunicorn(settings_for(tiny_model, engine_cache, folder), log) as server,
    ):
        yield server.url
