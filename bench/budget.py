"""How the CPU time of a request is spent, how busy the cores were, and how much the goal allows."""

from bench import goals
from bench.report import ServeReport


def lines(report: ServeReport) -> list[str]:
    """The profile of one request, for each photo, as lines to print."""
    return [line for photo in report["request"] for line in _profile(report, photo)]


def _profile(report: ServeReport, photo: str) -> list[str]:
    parts = report["request"][photo]
    case = goals.case(report, "MoleLens", photo, 1)
    stages = {
        "decode": parts["decode_ms"],
        f"network, {parts['views']} x {parts['view_ms']:.1f}": parts["views"] * parts["view_ms"],
        "everything else": parts["rest_ms"],
        "client": case["client_cpu_ms"],
    }
    total = sum(stages.values())
    return [
        f"  {photo:>6}: {total:.1f} ms, each part measured separately; "
        f"{case['cpu_ms'] + case['client_cpu_ms']:.1f} ms together",
        *(f"    {name:20} {ms:6.1f} ms {ms / total:4.0%}" for name, ms in stages.items()),
        f"    4 clients kept the cores {_busy(report, photo):.0%} busy; "
        f"{goals.min_speedups(report)[photo]:g} times the peers' requests/s allows "
        f"{_budget_ms(report, photo):.1f} ms per request",
    ]


def _busy(report: ServeReport, photo: str) -> float:
    """The share of all cores that server and client used; near 1, the CPU is the limit."""
    case = goals.case(report, "MoleLens", photo, 4)
    used_ms = case["cpu_ms"] + case["client_cpu_ms"]
    return case["answered_per_s"] * used_ms / 1000 / report["cores"]


def _budget_ms(report: ServeReport, photo: str) -> float:
    """The CPU time per request, of server and client, with which all cores just reach the goal."""
    peers = goals.case(report, "peers' way", photo, 4)["answered_per_s"]
    return 1000 * report["cores"] / (goals.min_speedups(report)[photo] * peers)
