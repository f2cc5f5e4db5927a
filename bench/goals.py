"""What issue 4 asks of the served request, beside what ``bench.serve`` measured."""

from typing import Any

from app.settings import Settings

GAINS = {"0.8 MP": 8.0, "12 MP": 4.5}
"""Times the peers' requests/s, with 4 clients."""


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
        for photo, gain in GAINS.items()
    ]
    reached = [(goal, limit, figure, figure >= limit) for goal, limit, figure in rows]
    # As many as may be in work or waiting: the slowest of them has waited for all the others.
    admitted = report["workers"] * (Settings().at_once + Settings().waiting)
    busy = [case for case in ours["cases"] if case["clients"] == 32]
    alone = {case["photo"]: case["p50_ms"] for case in ours["cases"] if case["clients"] == 1}
    limits = [
        (
            "CPU beside decode and network, ms",
            4.0,
            max(parts["rest_ms"] for parts in report["request"].values()),
        ),
        ("memory of a worker after the loads, MB (PSS)", 150.0, max(ours["worker_pss_mb"])),
        ("the most it held with 32 clients", 150.0, ours["most_pss_mb"]),
        ("ready after a warm start, s", 2.0, ours["warm_start_s"]),
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


def _gain(report: dict[str, Any], photo: str) -> float:
    ratio: float = report["ratios"][f"{photo}, 4 clients"]["peers' way"]
    return ratio
