"""The profile and the goals that ``bench.serve`` reports."""

from typing import Any

import pytest

from bench import budget, goals


def case(clients: int, per_s: float) -> dict[str, Any]:
    """Results of one case."""
    return {
        "photo": "0.8 MP",
        "clients": clients,
        "answered_per_s": per_s,
        "cpu_ms": 99.0,
        "client_cpu_ms": 1.0,
    }


REPORT = {
    "precision": "bf16",
    "cores": 2,
    "servers": {
        "MoleLens": {"cases": [case(1, 9.0), case(4, 18.0)]},
        "peers' way": {"cases": [case(4, 5.0)]},
    },
    "request": {"0.8 MP": {"decode_ms": 10.0, "views": 8, "view_ms": 10.0, "rest_ms": 9.0}},
}


def test_the_profile_shows_cpu_by_part_busy_cores_and_the_cpu_that_the_goal_allows() -> None:
    whole, decode, network, rest, client, limit = budget.lines(REPORT)
    assert whole.split()[:4] == ["0.8", "MP:", "100.0", "ms,"]
    shares = [line.split()[-1] for line in (decode, network, rest, client)]
    assert shares == ["10%", "80%", "9%", "1%"]
    assert "8 x 10.0" in network
    assert "the cores 90% busy" in limit  # 18 requests a second of 100 ms each, on two cores.
    assert "allows 50.0 ms" in limit  # The goal is 8 x 5 requests a second on two cores.


@pytest.mark.parametrize(("precision", "reached"), [("f32", True), ("bf16", False)])
def test_the_goal_is_higher_on_a_processor_that_supports_bfloat16(
    precision: str, reached: bool
) -> None:
    assert goal("0.8 MP, 4 clients, at least", precision=precision)[3] is reached


@pytest.mark.parametrize(("cpu_ms", "reached"), [(112.0, True), (113.0, False)])
def test_a_request_may_take_a_quarter_more_cpu_than_its_parts(cpu_ms: float, reached: bool) -> None:
    assert goal("CPU relative to decoding and views, 0.8 MP", cpu_ms=cpu_ms)[3] is reached


def goal(name: str, precision: str = "f32", cpu_ms: float = 99.0) -> tuple[str, float, float, bool]:
    """The row of a goal, for a server that is 5 times as fast as the peers."""
    measured = {
        "worker_pss_mb": [1.0],
        "most_pss_mb": 1.0,
        "warm_start_s": 1.0,
        "first_start_s": 1.0,
    }
    cases = [{**case(1, 9.0), "cpu_ms": cpu_ms, "p50_ms": 1.0}]
    ratios = {f"{photo}, 4 clients": {"peers' way": 5.0} for photo in ("0.8 MP", "12 MP")}
    servers = {"MoleLens": {**measured, "cases": cases}}
    report = {**REPORT, "precision": precision, "workers": 2, "servers": servers, "ratios": ratios}
    return next(row for row in goals.table(report) if name in row[0])
