"""``molelens [OPTION OF GUNICORN...]``: run ``gunicorn wsgi:app`` from any folder.

It uses the gunicorn.conf.py of the installed package.
"""

import sys

from gunicorn.app import wsgiapp

from app.settings import RESOURCES


def main() -> None:
    """Run gunicorn. Options on the command line override the configuration file."""
    sys.argv[1:] = ["--config", str(RESOURCES / "gunicorn.conf.py"), *sys.argv[1:], "wsgi:app"]
    wsgiapp.run(prog="molelens")
