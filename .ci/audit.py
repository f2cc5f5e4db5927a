"""Does a package that requirements.txt pins have a known vulnerability? Asks pip-audit.

Exit status 1 for a finding. Where no advisory can be had (no network, or a package index that
carries none), it says so and exits 0: that is this machine's lack, not the project's.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 300
"""Longest wait for the advisories, in seconds."""
# Run by uv in an environment of its own, so that what serves is not locked to its packages.
COMMAND = ["tool", "run", "--quiet", "--python", sys.executable, "pip-audit@2.10.1"]
# The lock file has every package with its hash, so that none needs to be resolved or installed.
HOW = ["--disable-pip", "--require-hashes", "-r", "requirements.txt", "--format", "json"]


def judge(report: dict[str, Any] | None, said: str) -> tuple[int, str]:
    """Exit status and words for pip-audit's report (None: it made none) and its last words."""
    if report is None:
        last = said.strip().splitlines()[-1] if said.strip() else "pip-audit said nothing"
        return 0, f"NOT AUDITED: no advisories could be had here. {last}"
    packages = report["dependencies"]
    findings = [
        f"{package['name']} {package['version']}: {found['id']}, "
        f"fixed in {', '.join(found['fix_versions']) or 'no version yet'}"
        for package in packages
        for found in package.get("vulns", [])
    ]
    if findings:
        return 1, "Known vulnerabilities in requirements.txt:\n" + "\n".join(findings)
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if len(skipped) == len(packages):
        return 0, "NOT AUDITED: this machine's package index knows no advisories."
    asked = f"{len(packages) - len(skipped)} packages have no known vulnerability"
    return 0, f"{asked}; not known to the index: {', '.join(skipped)}." if skipped else f"{asked}."


def main() -> int:
    uv = Path(sys.executable).with_name("uv")
    try:
        ran = subprocess.run(  # noqa: S603 - our own command
            [uv, *COMMAND, *HOW, "--progress-spinner", "off"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        status, words = judge(None, str(error))
    else:
        try:
            report = json.loads(ran.stdout)
        except ValueError:
            report = None
        status, words = judge(report, ran.stderr)
    print(words)
    return status


if __name__ == "__main__":
    sys.exit(main())
