"""The machine on which a benchmark runs."""

from pathlib import Path


def processor() -> str:
    """Number and name of the processors, such as ``2 x Intel(R) Xeon(R) Processor``."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else "unknown processor"
