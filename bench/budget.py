"""Where the CPU of a request goes, how busy the cores were, and what a goal would leave."""

from typing import Any

from bench import goals


def lines(report: dict[str, Any]) -> list[str]:
    """The profile of one request of each photo, from a report of ``bench.serve``, to be printed."""
    return [line for photo in report["request"] for line in _profile(report, photo)]


def _profile(report: dict[str, Any], photo: str) -> list[str]:
    parts = report["request"][photo]
    network = parts["views"] * parts["view_ms"]
    stages = {
        "decode": parts["decode_ms"],
        f"network, {parts['views']} x {parts['view_ms']:.1f}": network,
        "all the rest": parts["rest_ms"],
        "client": goals.case(report, "MoleLens", photo, 1)["client_cpu_ms"],
    }
    whole = sum(stages.values())
    measured = goals.case(report, "MoleLens", photo, 1)
    return [
        f"  {photo:>6}: {whole:.1f} ms, each part measured alone; "
        f"{measured['cpu_ms'] + measured['client_cpu_ms']:.1f} ms together",
        *(f"    {name:20} {ms:6.1f} ms {ms / whole:4.0%}" for name, ms in stages.items()),
        f"    4 clients kept the cores {_busy(report, photo):.0%} busy; "
        f"{goals.gains(report)[photo]:g} times the peers' requests/s would leave "
        f"{_budget_ms(report, photo):.1f} ms for each",
    ]


def _busy(report: dict[str, Any], photo: str) -> float:
    """Share of all cores that server and client used: near 1, no other limit can have bound."""
    case = goals.case(report, "MoleLens", photo, 4)
    used_ms = case["cpu_ms"] + case["client_cpu_ms"]
    share: float = case["answered_per_s"] * used_ms / 1000 / report["cores"]
    return share


def _budget_ms(report: dict[str, Any], photo: str) -> float:
    """CPU of a request, server and client, with which all cores together just reach the goal."""
    peers = goals.case(report, "peers' way", photo, 4)["answered_per_s"]
    budget: float = 1000 * report["cores"] / (goals.gains(report)[photo] * peers)
    return budget
