"""How fast a served request must be, beside what ``bench.serve`` measured.

The peers' way computes in float32 everywhere; ours in bfloat16 where the processor does, which
halves the time of a view, so that more is asked there.
"""

from typing import Any

from app.settings import Settings

_GAINS = {
    "f32": {"0.8 MP": 4.0, "12 MP": 6.0},
    "bf16": {"0.8 MP": 8.0, "12 MP": 6.0},
}
"""Times the peers' requests/s, with 4 clients, by the precision that the network runs in."""

MOST_OVER_PARTS = 1.25
"""CPU of a request over its decode and the views it took, each measured alone."""


def gains(report: dict[str, Any]) -> dict[str, float]:
    """The gains asked for on the machine of a report."""
    return _GAINS[report["precision"]]


def case(report: dict[str, Any], server: str, photo: str, clients: int) -> dict[str, Any]:
    """What one load of one server measured."""
    return next(
        c
        for c in report["servers"][server]["cases"]
        if (c["photo"], c["clients"]) == (photo, clients)
    )


def table(report: dict[str, Any]) -> list[tuple[str, float, float, bool]]:
    """Rows of goal, limit, measured figure, and whether it is reached."""
    ours = report["servers"]["MoleLens"]
    rows = [
        (f"requests/s over the peers', {photo}, 4 clients, at least", gain, _gain(report, photo))
        for photo, gain in gains(report).items()
    ]
    reached = [(goal, limit, figure, figure >= limit) for goal, limit, figure in rows]
    # As many as may be in work or waiting: the slowest of them has waited for all the others.
    admitted = report["workers"] * (Settings().at_once + Settings().waiting)
    busy = [case for case in ours["cases"] if case["clients"] == 32]
    alone = {case["photo"]: case["p50_ms"] for case in ours["cases"] if case["clients"] == 1}
    limits = [
        *(
            (f"CPU over decode and views, {photo}", MOST_OVER_PARTS, _over_parts(report, photo))
            for photo in report["request"]
        ),
        ("memory of a worker after the loads, MB (PSS)", 150.0, max(ours["worker_pss_mb"])),
        ("the most it held with 32 clients", 150.0, ours["most_pss_mb"]),
        ("ready after a warm start, s", 2.5, ours["warm_start_s"]),
        ("ready after the very first start, s", 20.0, ours["first_start_s"]),
        *(
            (
                f"p99 of answered, {case['photo']}, 32 clients, ms",
                4 * alone[case["photo"]] * min(admitted, 32),
                case["p99_ms"],
            )
            for case in busy
        ),
        *(
            (f"p99 of 503, {case['photo']}, 32 clients, ms", 100.0, case["refused_p99_ms"])
            for case in busy
            if case["refused"]
        ),
    ]
    return reached + [(goal, limit, figure, figure <= limit) for goal, limit, figure in limits]


def _over_parts(report: dict[str, Any], photo: str) -> float:
    parts = report["request"][photo]
    alone = parts["decode_ms"] + parts["views"] * parts["view_ms"]
    share: float = case(report, "MoleLens", photo, 1)["cpu_ms"] / alone
    return share


def _gain(report: dict[str, Any], photo: str) -> float:
    ratio: float = report["ratios"][f"{photo}, 4 clients"]["peers' way"]
    return ratio
