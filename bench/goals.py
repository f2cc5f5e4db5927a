"""The speed goals for a served request, compared with the results of ``bench.serve``.

The peers' servers compute in float32. MoleLens uses bfloat16 if the processor supports it, which
halves the time of a view; then the goals are higher.
"""

from typing import NamedTuple

from app.settings import Settings
from bench.report import Case, ServeReport

_MIN_SPEEDUPS = {
    "f32": {"0.8 MP": 4.0, "12 MP": 6.0},
    "bf16": {"0.8 MP": 8.0, "12 MP": 6.0},
}
"""Requests/s with 4 clients, relative to the peers', by the network's precision and by photo."""

MAX_CPU_OVER_PARTS = 1.25
"""CPU time of a request, relative to the sum of decoding and its views, measured separately."""


class Goal(NamedTuple):
    """A goal with its limit, the measured figure, and whether it is reached."""

    name: str
    limit: float
    figure: float
    reached: bool


def min_speedups(report: ServeReport) -> dict[str, float]:
    """The speedups over the peers that are required with the precision of a report, by photo."""
    return _MIN_SPEEDUPS[report["precision"]]


def case(report: ServeReport, server: str, photo: str, clients: int) -> Case:
    """The results of a server under one load."""
    return next(
        c
        for c in report["servers"][server]["cases"]
        if (c["photo"], c["clients"]) == (photo, clients)
    )


def table(report: ServeReport) -> list[Goal]:
    """All goals, in the order in which they are printed."""
    goals = [
        _at_least(
            f"requests/s relative to the peers', {photo}, 4 clients, at least",
            speedup,
            report["ratios"][f"{photo}, 4 clients"]["peers' way"],
        )
        for photo, speedup in min_speedups(report).items()
    ]
    goals += [
        _at_most(
            f"CPU relative to decoding and views, {photo}",
            MAX_CPU_OVER_PARTS,
            _cpu_over_parts(report, photo),
        )
        for photo in report["request"]
    ]
    ours = report["servers"]["MoleLens"]
    goals += [
        _at_most("memory of a worker after the loads, MB (PSS)", 150.0, max(ours["worker_pss_mb"])),
        _at_most("its maximum with 32 clients, MB (PSS)", 150.0, ours["most_pss_mb"]),
        _at_most("ready after a warm start, s", 2.5, ours["warm_start_s"]),
        _at_most("ready after the very first start, s", 20.0, ours["first_start_s"]),
    ]
    # The slowest request waits for all others that are admitted at the same time.
    admitted = report["workers"] * (Settings().at_once + Settings().waiting)
    alone = {c["photo"]: c["p50_ms"] for c in ours["cases"] if c["clients"] == 1}
    busy = [c for c in ours["cases"] if c["clients"] == 32]
    for c in busy:
        limit = 4 * alone[c["photo"]] * min(admitted, 32)
        goals.append(
            _at_most(f"p99 of judged photos, {c['photo']}, 32 clients, ms", limit, c["p99_ms"])
        )
    return goals + [
        _at_most(f"p99 of 503, {c['photo']}, 32 clients, ms", 100.0, c["refused_p99_ms"])
        for c in busy
        if c["refused"]
    ]


def _at_least(name: str, limit: float, figure: float) -> Goal:
    return Goal(name, limit, figure, figure >= limit)


def _at_most(name: str, limit: float, figure: float) -> Goal:
    return Goal(name, limit, figure, figure <= limit)


def _cpu_over_parts(report: ServeReport, photo: str) -> float:
    parts = report["request"][photo]
    alone = parts["decode_ms"] + parts["views"] * parts["view_ms"]
    return case(report, "MoleLens", photo, 1)["cpu_ms"] / alone
