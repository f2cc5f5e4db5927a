"""Plot the curves of all runs of ``training.reproduce`` in one picture."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from training.fit.callbacks import Logs
from training.paper.results import RunResult
from training.plotting import INK, TRAIN, VALIDATION, plt

_PANELS = {
    "version 2.0, SGD, both rules, three stages": ("cnn_v2", "stage_2", "stage_3"),
    "version 2.0, SGD, no rules, three stages": ("sgd", "sgd_2", "sgd_3"),
    "version 2.0, Adam": ("adam",),
    "version 2.0, RMSprop": ("rmsprop",),
    "version 1.0, SGD": ("cnn_v1",),
    "version 3.0, SGD": ("cnn_v3",),
    "version 1.0, SGD, 12 benign to 1": ("imbalanced",),
}
_GRID = "#dfe3e8"


def plot_runs(results: dict[str, RunResult], path: Path) -> None:
    """Plot each run's training and validation accuracy, and the learning rate of the staged run."""
    figure, axes = plt.subplots(3, 3, figsize=(10.5, 8), layout="constrained")
    for axis, (title, names) in zip(axes.flat, _PANELS.items(), strict=False):
        stages = [results[name]["history"] for name in names if name in results]
        _accuracy(axis, title, stages)
    axes.flat[0].legend(frameon=False, loc="lower right", fontsize=8)
    staged = next(iter(_PANELS.values()))
    _rate(axes.flat[-2], [results[name]["history"] for name in staged if name in results])
    axes.flat[-1].set_axis_off()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def training_accuracy(row: Logs) -> float:
    """The training accuracy of an epoch, 0-1. With several outputs, its key has a prefix."""
    return row["malignant_accuracy"] if "malignant_accuracy" in row else row["accuracy"]


def _accuracy(axis: Axes, title: str, stages: list[list[Logs]]) -> None:
    rows = [row for stage in stages for row in stage]
    epochs = range(1, len(rows) + 1)
    training = [training_accuracy(row) for row in rows]
    validation = [row["val_accuracy"] for row in rows]
    marker = "." if len(rows) < 20 else ""  # A single epoch has no line, only a marker.
    axis.plot(epochs, training, color=TRAIN, label="training (augmented)", marker=marker)
    axis.plot(epochs, validation, color=VALIDATION, label="validation", marker=marker)
    _stage_starts(axis, stages)
    axis.set_title(title, fontsize=10)
    axis.set(ylim=(0, 1), xlabel="epoch", ylabel="accuracy")
    axis.set_xlim(0.5, max(len(rows), 1) + 0.5)
    if not rows:
        axis.text(0.5, 0.5, "not run yet", transform=axis.transAxes, ha="center", color=TRAIN)
    _style(axis)


def _rate(axis: Axes, stages: list[list[Logs]]) -> None:
    rates = [row["learning_rate"] for stage in stages for row in stage]
    axis.plot(range(1, len(rates) + 1), rates, color=INK, drawstyle="steps-mid", marker=".")
    _stage_starts(axis, stages)
    axis.set_title("learning rate, both rules, three stages", fontsize=10)
    axis.set(xlabel="epoch", yscale="log")
    axis.set_xlim(0.5, max(len(rates), 1) + 0.5)
    if rates:  # Without margins, a constant rate would be drawn on the frame.
        axis.set_ylim(min(rates) / 3, max(rates) * 3)
    _style(axis)


def _stage_starts(axis: Axes, stages: list[list[Logs]]) -> None:
    done = 0
    for stage in stages[:-1]:
        done += len(stage)
        axis.axvline(done + 0.5, color=_GRID, linewidth=1)


def _style(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color=_GRID, linewidth=0.5)
    axis.set_axisbelow(True)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
