"""Write the sizing table of docs/operations.md from what bench.serve and bench.backends measured.

    python -m bench.sizing

bench.backends does this by itself when it is through; run both on one machine, bench.serve first.
"""

import json
import math
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "operations.md"
BEGIN = "<!-- sizing: written by bench.sizing from bench/serve.json and bench/backends.json. -->\n"
END = "<!-- sizing: end -->\n"
HEAD = """
| measured by | what | photo | requests/s | photos a day | memory after it |
| --- | --- | --- | --- | --- | --- |
"""

DAY_S = 24 * 3600
MOST_A_SECOND = 70
"""Requests/s to be ready for at a million photos a day; docs/operations.md says why."""


def measured(name: str) -> dict[str, Any] | None:
    """A report of bench/, None where it was never made."""
    path = HERE / name
    return dict(json.loads(path.read_text())) if path.exists() else None


def part(serve: dict[str, Any], backends: dict[str, Any] | None) -> str:
    """What stands between the marks of the page; without ``backends`` its rows are missing."""
    rows, ours = [], serve["servers"]["MoleLens"]
    for photo in serve["photos"]:
        rate = max(c["answered_per_s"] for c in ours["cases"] if c["photo"] == photo)
        what = f"one backend of {serve['workers']} workers"
        rows.append(_row(f"`bench.serve`, {serve['machine']}", what, photo, rate, ours))
    many = math.ceil(MOST_A_SECOND / rate)
    for case in backends["cases"] if backends else []:
        source = f"`bench.backends`, {backends['machine']}"
        what = f"Apache, backends of one worker: {case['backends']}"
        rows.append(_row(source, what, case["photo"], case["answered_per_s"], case))
    return (
        f"{HEAD}{''.join(rows)}\nA million photos of {photo} a day want {many} backends like that "
        "of `bench.serve`, for the reasons below.\n\n"
    )


def _row(source: str, what: str, photo: str, rate: float, memory: dict[str, Any]) -> str:
    workers = " + ".join(f"{size:.0f}" for size in memory["worker_pss_mb"])
    most = f", each at most {memory['most_pss_mb']:.0f}" if "most_pss_mb" in memory else ""
    a_day = f"{round(rate * DAY_S, -4):,.0f}"
    return f"| {source} | {what} | {photo} | {rate:.1f} | {a_day} | {workers} MB{most} |\n"


def write() -> None:
    """Replace what stands between the marks."""
    serve = measured("serve.json")
    if serve is None:
        raise SystemExit("Expected bench/serve.json: run python -m bench.serve first.")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise SystemExit(f"Expected the marks of the sizing table in {PAGE}.")
    PAGE.write_text(before + BEGIN + part(serve, measured("backends.json")) + END + after)
    print(f"wrote the sizing table of {PAGE}")


if __name__ == "__main__":
    write()
