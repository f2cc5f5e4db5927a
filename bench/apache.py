"""Run Debian's Apache with deploy/apache/molelens.conf on this machine, in a temporary folder.

Tests and benchmarks use the deployed site file itself; this module writes the main configuration,
which includes it.
"""

import re
import subprocess
from pathlib import Path

from bench.server import ROOT

REQUIRED_PROGRAMS = ("apache2", "redis-server", "openssl")
SITE = ROOT / "deploy" / "apache" / "molelens.conf"
_MODULES = Path("/usr/lib/apache2/modules")
# Debian enables these modules by default; the site file lists the others.
_DEFAULT_MODULES = "authz_core authz_host env mime mpm_event setenvif slotmem_shm"


def certificate(folder: Path) -> None:
    """Create a self-signed certificate for localhost: certificate.pem and key.pem."""
    request = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem"]
    subprocess.run([*request.split(), *subject, *files], check=True, capture_output=True)


def command(folder: Path, https: int, http: int, backends: list[str]) -> list[str]:
    """Write httpd.conf, and return the command that runs Apache with it in the foreground.

    Apache's workers run as www-data and must be able to read ``folder``.
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
        *(
            f"LoadModule {name}_module {_MODULES}/mod_{name}.so"
            for name in f"{_DEFAULT_MODULES} {modules[1]}".split()
        ),
        "TypesConfig /etc/mime.types",
        *(f'Define {name} "{value}"' for name, value in values.items()),
        f"Include {SITE}",
    ]
    (folder / "httpd.conf").write_text("\n".join(lines))
    return ["apache2", "-f", f"{folder}/httpd.conf", "-DFOREGROUND"]
