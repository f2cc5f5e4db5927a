"""Health check of the container: exit 0 if /readyz, which tests the model, answers 200."""

import os
import sys
import urllib.error
import urllib.request

# If MOLELENS_HOSTS is set, other host names are answered 400.
host = os.environ.get("MOLELENS_HOSTS", "").split(",")[0].strip().lstrip(".") or "127.0.0.1"
url = f"http://127.0.0.1:8000{os.environ.get('SCRIPT_NAME', '').rstrip('/')}/readyz"
request = urllib.request.Request(url, headers={"Host": host})
try:
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        print(answer.read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code}: {error.read().decode(errors='replace')}")
except OSError as error:
    sys.exit(str(error))
