"""Write the sizing table of docs/operations.md from the reports of bench.serve and bench.backends.

    python -m bench.sizing

bench.backends does the same when it has finished. Run bench.serve on the same machine first.
"""

import json
import math
from pathlib import Path
from typing import Any

from bench.report import BackendsReport, ServeReport

HERE = Path(__file__).resolve().parent

PAGE = HERE.parent / "docs" / "operations.md"
BEGIN = "<!-- sizing: written by bench.sizing from bench/serve.json and bench/backends.json. -->\n"
END = "<!-- sizing: end -->\n"
TABLE_HEADER = """
| measured by | what | photo | requests/s | photos a day | memory afterwards |
| --- | --- | --- | --- | --- | --- |
"""

DAY_SECONDS = 24 * 3600
REQUESTS_PER_SECOND = 70
"""Capacity needed for a million photos a day; docs/operations.md derives it."""


def load_report(name: str) -> Any:
    """The report in a file of bench/; None if there is no such file."""
    path = HERE / name
    return json.loads(path.read_text()) if path.exists() else None


def table(serve: ServeReport, backends: BackendsReport | None) -> str:
    """The table, without the rows of ``backends`` if it is None, and a sentence on it."""
    rows, ours = [], serve["servers"]["MoleLens"]
    most = f", each at most {ours['most_pss_mb']:.0f}"
    for photo in serve["photos"]:
        rate = max(c["answered_per_s"] for c in ours["cases"] if c["photo"] == photo)
        what = f"one backend of {serve['workers']} workers"
        memory = _memory(ours["worker_pss_mb"]) + most
        rows.append(_row(f"`bench.serve`, {serve['machine']}", what, photo, rate, memory))
    needed = math.ceil(REQUESTS_PER_SECOND / rate)
    if backends:
        for case in backends["cases"]:
            source = f"`bench.backends`, {backends['machine']}"
            what = f"Apache, backends of one worker: {case['backends']}"
            memory = _memory(case["worker_pss_mb"])
            rows.append(_row(source, what, case["photo"], case["answered_per_s"], memory))
    return (
        f"{TABLE_HEADER}{''.join(rows)}\nA million photos of {photo} a day need {needed} backends "
        "like that of `bench.serve`, as explained below.\n\n"
    )


def _memory(workers_mb: list[float]) -> str:
    return " + ".join(f"{size:.0f}" for size in workers_mb) + " MB"


def _row(source: str, what: str, photo: str, rate: float, memory: str) -> str:
    per_day = f"{round(rate * DAY_SECONDS, -4):,.0f}"
    return f"| {source} | {what} | {photo} | {rate:.1f} | {per_day} | {memory} |\n"


def write() -> None:
    """Replace the table in docs/operations.md."""
    serve = load_report("serve.json")
    if serve is None:
        raise SystemExit("Expected bench/serve.json: run python -m bench.serve first.")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise SystemExit(f"Expected the comments around the sizing table in {PAGE}.")
    PAGE.write_text(before + BEGIN + table(serve, load_report("backends.json")) + END + after)
    print(f"wrote the sizing table of {PAGE}")


if __name__ == "__main__":
    write()
