"""The wheel serves from any folder, and needs only the packages that are listed for serving."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
from serving import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES_TO_CONVERT_OR_TRAIN = {
    "keras",
    "tensorflow",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "torch",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's files, as pip would install them."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("molelens-*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    return folder / "installed"


def test_the_wheel_serves_pages_styles_and_translations_from_any_folder(
    installed: Path, settings: dict[str, str], tmp_path: Path
) -> None:
    code = (
        "import app, wsgi\n"
        "client = wsgi.app.test_client()\n"
        "page = client.get('/', headers={'Accept-Language': 'de'}).text\n"
        "print(app.__file__, client.get('/static/style.css').status_code, 'lang=\"de\"' in page)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, **settings, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == f"{installed}/app/__init__.py 200 True\n"


def test_the_wheel_contains_the_model_and_the_configuration_of_gunicorn(
    installed: Path, tmp_path: Path
) -> None:
    code = (
        "from app.settings import RESOURCES, Settings\n"
        "print(RESOURCES, Settings().model.is_file())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == f"{installed}/app True\n"
    assert (installed / "app" / "gunicorn.conf.py").is_file()


def test_the_wheel_adds_only_its_packages_and_wsgi_to_the_top_level(installed: Path) -> None:
    assert {path.name for path in installed.iterdir() if "dist-info" not in path.name} == {
        "app",
        "lens",
        "training",
        "wsgi.py",
    }


@pytest.mark.parametrize("target", PROJECT["scripts"].values(), ids=PROJECT["scripts"])
def test_every_entry_point_is_a_function(target: str) -> None:
    module, name = target.split(":")
    assert callable(getattr(import_module(module), name))


def test_the_requirements_for_serving_contain_nothing_for_conversion_or_training() -> None:
    pinned = (ROOT / "requirements-serve.txt").read_text()
    names = set(re.findall(r"^([a-z0-9-]+)==", pinned, re.MULTILINE))
    assert {"flask", "openvino", "numpy"} <= names
    assert not names & PACKAGES_TO_CONVERT_OR_TRAIN


@pytest.mark.parametrize("part", ["", "-serve", "-train"])
def test_all_requirement_files_pin_the_same_versions(part: str) -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / name).read_text(), re.MULTILINE))

    assert pins(f"requirements{part}.txt") <= pins("requirements-dev.txt")
