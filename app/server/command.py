"""``molelens [OPTION OF GUNICORN...]``: serve from any folder.

The same as ``gunicorn wsgi:app`` in a checkout, whose gunicorn.conf.py it brings along.
"""

import sys

from gunicorn.app import wsgiapp

from app.settings import FILES


def main() -> None:
    """Run gunicorn; options on the command line override its configuration file."""
    sys.argv[1:] = ["--config", str(FILES / "gunicorn.conf.py"), *sys.argv[1:], "wsgi:app"]
    wsgiapp.run(prog="molelens")
