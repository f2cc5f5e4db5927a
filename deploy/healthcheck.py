"""The container's health: exit 0 when /readyz, which asks the model, answers 200."""

import os
import sys
import urllib.error
import urllib.request

# With MOLELENS_HOSTS, any other name is answered 400.
host = os.environ.get("MOLELENS_HOSTS", "").split(",")[0].strip().lstrip(".") or "127.0.0.1"
request = urllib.request.Request("http://127.0.0.1:8000/readyz", headers={"Host": host})
try:
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - the address above
        print(answer.read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"{error.code}: {error.read().decode(errors='replace')}")
except OSError as error:
    sys.exit(str(error))
