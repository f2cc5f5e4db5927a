"""What ``bench.serve`` says of the limit that binds."""

from typing import Any

from bench import budget


def load(clients: int, per_s: float) -> dict[str, Any]:
    return {
        "photo": "0.8 MP",
        "clients": clients,
        "answered_per_s": per_s,
        "cpu_ms": 99.0,
        "client_cpu_ms": 1.0,
    }


REPORT = {
    "cores": 2,
    "servers": {
        "MoleLens": {"cases": [load(1, 9.0), load(4, 18.0)]},
        "peers' way": {"cases": [load(4, 5.0)]},
    },
    "request": {"0.8 MP": {"decode_ms": 10.0, "views": 8, "view_ms": 10.0, "rest_ms": 9.0}},
}


def test_it_tells_where_the_cpu_goes_how_busy_the_cores_were_and_what_the_goal_leaves() -> None:
    whole, decode, network, rest, client, limit = budget.lines(REPORT)
    assert whole.split()[:4] == ["0.8", "MP:", "100.0", "ms,"]
    shares = [line.split()[-1] for line in (decode, network, rest, client)]
    assert shares == ["10%", "80%", "9%", "1%"]
    assert "8 x 10.0" in network
    assert "the cores 90% busy" in limit  # 18 a second, 100 ms each, on two cores.
    assert "would leave 50.0 ms" in limit  # 8 x 5 a second on two cores.
