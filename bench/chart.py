"""Draw the chart of ``bench.serve``: requests per second by server, photo and number of clients."""

from pathlib import Path

from bench.report import ServeReport

COLOURS = ("#b0b4ba", "#7c93b8", "#0b6e4f")  # Of the servers, in the order of the report.


def draw(report: ServeReport, path: Path) -> None:
    """Write the chart of a report of ``bench.serve`` as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    sizes = list(report["photos"])
    figure, axes = plt.subplots(1, len(sizes) + 1, figsize=(12, 4.2), layout="constrained")
    servers = list(zip(report["servers"].items(), COLOURS, strict=True))
    for axis, size in zip(axes, sizes, strict=False):
        for i, ((name, measured), colour) in enumerate(servers):
            cases = [case for case in measured["cases"] if case["photo"] == size]
            bars = axis.bar(
                [x + 0.28 * (i - 1) for x in range(len(cases))],
                [case["answered_per_s"] for case in cases],
                width=0.26,
                label=name,
                color=colour,
            )
            axis.bar_label(bars, fmt=_label, fontsize=8, padding=2)
        axis.set_xticks(range(len(cases)), [f"{case['clients']}" for case in cases])
        axis.set_xlabel("concurrent clients")
        axis.set_title(f"Requests/s, {size} JPEG")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    memory = [max(measured["worker_pss_mb"]) for measured in report["servers"].values()]
    bars = axes[-1].bar(list(report["servers"]), memory, color=COLOURS, width=0.6)
    axes[-1].bar_label(bars, fmt=_label, fontsize=8, padding=2)
    axes[-1].set_title("Memory of a worker, MB (PSS)")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(y=0.15)
    figure.suptitle(f"{report['machine']}, {report['workers']} workers", fontsize=10)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _label(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
