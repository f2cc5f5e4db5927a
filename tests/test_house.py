"""Import rules: wsgi -> app -> lens <- training, and the layers of training."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from serving import ROOT

WEB = {"flask", "werkzeug", "gunicorn", "flask_wtf", "flask_limiter", "flask_babel"}
FORBIDDEN = {
    "lens": {"app", "training"} | WEB,
    "app": {"training", "tensorflow", "keras"},
    "training": {"app"} | WEB,
}
COMMANDS = {
    "prepare",
    "train",
    "train_gpu",
    "recalibrate",
    "ensemble",
    "tune",
    "evaluate",
    "score",
    "reproduce",
}
LAYERS = (
    {"tune", "recalibrate", "ensemble", "reproduce", "train_gpu"},
    {"train", "evaluate", "paper", "gpu"},
    {"prepare", "score", "fit", "evaluation"},
    {"datasets", "networks", "scoring"},
    {"cli", "plotting"},
)
"""From top to bottom. A part of training (a subpackage or a command) may import only parts of the
layers below its own."""


def modules(package: str) -> dict[str, Path]:
    """Every module of a package by its dotted name; a subpackage stands for its __init__.py."""
    names = {}
    for path in (ROOT / package).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(part for part in parts if part != "__init__")] = path
    assert names
    return names


MODULES = {name for package in FORBIDDEN for name in modules(package)}


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, also in functions, but not those only for type checking."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: a relative import"
            # ``from app import logs`` means the module app.logs; any other name means app itself.
            for alias in node.names:
                member = f"{node.module}.{alias.name}"
                names.add(member if member in MODULES else node.module)
    return names


def part(name: str) -> str:
    """The part of training to which a module belongs: ``fit`` for ``training.fit.loop``."""
    return name.split(".")[1] if "." in name else ""


def imports_between_parts() -> set[tuple[str, str]]:
    """Pairs of parts of training, of which the first imports the second."""
    return {
        (part(name), part(target))
        for name, path in modules("training").items()
        for target in imports(path)
        if target.startswith("training.") and part(target) != part(name)
    }


@pytest.mark.parametrize("package", FORBIDDEN)
def test_a_package_imports_nothing_that_is_forbidden_to_it(package: str) -> None:
    found = {
        name: {target.split(".")[0] for target in imports(path)} & FORBIDDEN[package]
        for name, path in modules(package).items()
    }
    assert not {name: wrong for name, wrong in found.items() if wrong}


def test_everything_in_training_is_in_exactly_one_layer() -> None:
    parts = {part(name) for name in modules("training")} - {""}
    assert sorted(parts) == sorted(name for layer in LAYERS for name in layer)


def test_training_imports_only_from_lower_layers() -> None:
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    wrong = [(one, other) for one, other in imports_between_parts() if layer[one] >= layer[other]]
    assert not wrong


def test_no_subpackage_of_training_imports_a_command() -> None:
    packages = {path.name for path in (ROOT / "training").iterdir() if path.is_dir()}
    assert not [
        (one, other)
        for one, other in imports_between_parts()
        if one in packages and other in COMMANDS
    ]


def test_the_lowest_subpackages_import_no_other_subpackage() -> None:
    lowest = {"datasets", "networks", "scoring"}
    imported = {other for one, other in imports_between_parts() if one in lowest}
    assert imported <= {"cli", "plotting"}


@pytest.mark.parametrize("package", ["app", "training"])
def test_there_are_no_circular_imports(package: str) -> None:
    known = modules(package)
    graph = {name: imports(path) & set(known) - {name} for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_photo_is_committed() -> None:
    pictures = {".jpg", ".jpeg", ".heic", ".dcm"}
    folders = ("app", "docs", "lens", "models", "static", "templates", "tests", "training")
    assert not [p for name in folders for p in (ROOT / name).rglob("*") if p.suffix in pictures]


def test_no_test_imports_another_test() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        assert not [name for name in imports(path) if name.startswith("test_")], path
