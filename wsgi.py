"""What gunicorn serves: ``gunicorn wsgi:app``."""

import sys

from app import StartError, create_app

try:
    app = create_app()
except StartError as error:
    print(f"MoleLens cannot start: {error}", file=sys.stderr)
    # gunicorn's code for "the app failed to load": it stops, instead of starting workers for ever.
    raise SystemExit(4) from None
