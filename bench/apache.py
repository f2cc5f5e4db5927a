"""Debian's Apache around the site's own file, for one folder and this machine alone.

Tests and measurements run deploy/apache/molelens.conf itself; this is what stands around it.
"""

import re
import subprocess
from pathlib import Path

from bench.server import ROOT

NEEDED = ("apache2", "redis-server", "openssl")
SITE = ROOT / "deploy" / "apache" / "molelens.conf"
_MODULES = Path("/usr/lib/apache2/modules")
# Debian switches these on with the package; the others are named in the site's file.
_ALWAYS_ON = ["authz_core", "authz_host", "env", "mime", "mpm_event", "setenvif", "slotmem_shm"]


def certificate(folder: Path) -> None:
    """A self-made certificate for localhost, certificate.pem and key.pem."""
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem"]
    subprocess.run([*make.split(), *names, *files], check=True, capture_output=True)


def command(folder: Path, https: int, http: int, backends: list[str]) -> list[str]:
    """Write httpd.conf; what runs Apache with it, in the foreground.

    Apache's workers are www-data, and must be let into ``folder``, where the certificate is.
    """
    modules = re.search(r"Needs the modules\n#(.*)", SITE.read_text())
    if not modules:
        raise RuntimeError(f"Expected a line 'Needs the modules' in {SITE}.")
    values = {
        "APACHE_LOG_DIR": folder,
        "MOLELENS_HOST": "localhost",
        "MOLELENS_HTTP_PORT": http,
        "MOLELENS_HTTPS_PORT": https,
        "MOLELENS_CERTIFICATE": folder / "certificate.pem",
        "MOLELENS_CERTIFICATE_KEY": folder / "key.pem",
        "MOLELENS_ROOT": folder,
        **{f"MOLELENS_BACKEND_{n}": address for n, address in enumerate(backends, 1)},
    }
    lines = [
        f"ServerRoot {folder}",
        f"DefaultRuntimeDir {folder}",
        f"PidFile {folder}/apache.pid",
        f"ErrorLog {folder}/error.log",
        "Mutex sem",
        "ServerName localhost",
        "User www-data",
        "Group www-data",
        f"Listen 127.0.0.1:{http}",
        f"Listen 127.0.0.1:{https}",
        *(f"LoadModule {m}_module {_MODULES}/mod_{m}.so" for m in _ALWAYS_ON + modules[1].split()),
        "TypesConfig /etc/mime.types",
        *(f'Define {name} "{value}"' for name, value in values.items()),
        f"Include {SITE}",
    ]
    (folder / "httpd.conf").write_text("\n".join(lines))
    return ["apache2", "-f", f"{folder}/httpd.conf", "-DFOREGROUND"]
