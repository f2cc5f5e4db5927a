"""Put a hash of the content into addresses of static files, so that browsers can cache them."""

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask
from werkzeug.security import safe_join


@cache
def _version(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def install(app: Flask) -> None:
    folder = app.static_folder or ""

    @app.url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint != "static":
            return
        # The name may come from the request: a 404 page links to itself in each language.
        path = safe_join(folder, values["filename"])
        if path is not None and os.path.isfile(path):
            values["v"] = _version(path)
