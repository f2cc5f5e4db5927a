"""The WSGI application for gunicorn: ``gunicorn wsgi:app``."""

import sys

from app import StartError, create_app

try:
    app = create_app()
except StartError as error:
    print(f"MoleLens cannot start: {error}", file=sys.stderr)
    # With this exit status gunicorn stops; with another, it would start new workers forever.
    raise SystemExit(4) from None
