"""Debian's Apache with deploy/apache/molelens.conf in front of two gunicorns that share a Redis."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import painter
import pytest
from conftest import ROOT, free_port, settings_for, wait_for

CONF = ROOT / "deploy" / "apache" / "molelens.conf"
MODULES = Path("/usr/lib/apache2/modules")
# What `a2enmod` in docs/operations.md switches on, and what Debian has on from the start.
ENABLED = "alias headers http2 lbmethod_bybusyness proxy proxy_balancer proxy_http reqtimeout ssl"
ALWAYS_ON = "authz_core authz_host mime mpm_event setenvif slotmem_shm socache_shmcb"
NEEDED = ("apache2", "redis-server", "openssl", "curl")

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, NEEDED)), reason=f"needs {', '.join(NEEDED)}"
)
