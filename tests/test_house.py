"""Imports go one way: wsgi -> app -> lens <- training."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WEB = {"flask", "werkzeug", "gunicorn", "flask_wtf", "flask_limiter", "flask_babel"}
FORBIDDEN = {
    "lens": {"app", "training"} | WEB,
    "app": {"training", "tensorflow", "keras"},
    "training": {"app"} | WEB,
}


def imported(path: Path) -> set[str]:
    """Top-level names a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_nothing_from_the_rooms_behind_it(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    found = {path.name: imported(path) & FORBIDDEN[room] for path in files}
    assert not {name: wrong for name, wrong in found.items() if wrong}


def test_no_photo_is_committed() -> None:
    pictures = {".jpg", ".jpeg", ".heic", ".dcm"}
    ours = ("app", "docs", "lens", "models", "static", "templates", "tests", "training")
    assert not [p for name in ours for p in (ROOT / name).rglob("*") if p.suffix in pictures]
