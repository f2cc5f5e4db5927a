"""Plot a model's test figures."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from sklearn.metrics import roc_curve

from lens.card import Card
from training.evaluation.metrics import (
    BENIGN,
    BINS,
    MALIGNANT,
    REFUSED,
    Predictions,
    area_under_curve,
    bin_of,
)
from training.evaluation.tables import NAMES
from training.plotting import INK, VALIDATION, plt

PALE, GRID = "#d9e4e5", "#dfe3e8"
_POOLS = {"pooled": INK, "dermoscopic": VALIDATION, "clinical": "#a8485c"}
_SOURCES = ("#6b7fb3", "#c98a2b", "#8a94a0", "#7a5a9a", "#7a9a5a", "#4f9dc4", "#b08968")


def plot_roc(parts: dict[str, Predictions], path: Path) -> None:
    """Plot the ROC curve of each part that has both classes.

    The curves of all photos and of each kind are drawn on top, with a dot at the stored threshold.
    """
    figure, axis = plt.subplots(figsize=(6.4, 6.2), layout="constrained")
    axis.plot([0, 1], [0, 1], color=GRID, linewidth=1)
    colours = iter(_SOURCES)
    for name, predictions in reversed(parts.items()):
        pooled = name in _POOLS
        if len(set(predictions.labels.tolist())) < 2:
            continue
        colour = _POOLS.get(name) or next(colours, GRID)
        false, true, _ = roc_curve(predictions.labels, predictions.probabilities)
        auc = area_under_curve(predictions, np.ones((1, len(predictions.labels))))[0]
        label = f"{NAMES.get(name, name)}, {auc:.3f}"
        axis.plot(false, true, color=colour, label=label, linewidth=2.2 if pooled else 1.2)
        if pooled:
            axis.plot(*_operating_point(predictions), "o", color=colour, markersize=8)
    axis.set(
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
        xlabel="1 - specificity",
        ylabel="sensitivity",
        title="ROC on the test split; dots: the stored threshold",
    )
    _style(axis)
    handles, labels = axis.get_legend_handles_labels()
    axis.legend(
        handles[::-1], labels[::-1], frameon=False, loc="lower right", title="area under the curve"
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def plot_confusion(parts: dict[str, Predictions], path: Path) -> None:
    """Plot the confusion matrix of all photos, and of each kind of photo if there are both."""
    total = len(parts["pooled"].labels)
    shown = {
        name: predictions
        for name, predictions in parts.items()
        if name == "pooled" or (name in _POOLS and len(predictions.labels) < total)
    }
    figure, axes = plt.subplots(
        1, len(shown), figsize=(5.4 * len(shown), 3.6), layout="constrained", squeeze=False
    )
    for axis, (name, predictions) in zip(axes[0], shown.items(), strict=True):
        counts = np.array(
            [
                [
                    ((predictions.labels == label) & (predictions.calls == call)).sum()
                    for call in _CALLS
                ]
                for label in (BENIGN, MALIGNANT)
            ]
        )
        totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
        shares = counts / totals
        axis.imshow(shares, cmap=_SHADES, vmin=0, vmax=1, aspect="auto")
        for (row, column), count in np.ndenumerate(counts):
            share = shares[row, column]
            axis.text(
                column,
                row,
                f"{count:,}\n{share:.1%}",
                ha="center",
                va="center",
                color="white" if share > 0.6 else INK,
                fontsize=12,
            )
        axis.set_xticks(range(3), ["benign", "malignant", "cannot judge"])
        axis.set_yticks(range(2), ["benign", "malignant"])
        axis.set(title=NAMES[name], xlabel="verdict", ylabel="truth")
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def plot_reliability(predictions: Predictions, card: Card, path: Path) -> None:
    """Plot the share of malignant lesions and the number of lesions in each probability bin."""
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(6, 6.6), layout="constrained", height_ratios=(3, 1), sharex=True
    )
    counts = np.bincount(bin_of(predictions.probabilities), minlength=BINS)
    filled = counts > 0
    means, shares = (
        np.bincount(bin_of(predictions.probabilities), values, BINS)[filled] / counts[filled]
        for values in (predictions.probabilities, predictions.labels)
    )
    top.plot([0, 1], [0, 1], color=GRID, linewidth=1)
    top.plot(means, shares, "o-", color=VALIDATION, markersize=5, linewidth=1.6)
    top.set(
        ylim=(-0.02, 1.02),
        ylabel="share that is malignant",
        title="Calibration on the test split, all sources",
    )
    top.text(0.9, 0.82, "perfect", color="#8a94a0", ha="center", va="top")
    edges = np.arange(BINS) / BINS
    bottom.bar(edges, counts, 1 / BINS, align="edge", color=PALE, edgecolor="white")
    bottom.set(xlim=(0, 1), xlabel="calibrated probability of malignant", ylabel="lesions")
    for row, (kind, point) in enumerate(card.distinct_points().items()):
        for axis in (top, bottom):
            axis.axvline(point.threshold, color=INK, linewidth=1, linestyle=":")
        label = f"threshold {point.threshold:.3f}" + ("" if kind == "any" else f", {kind}")
        top.text(point.threshold + 0.012, 0.97 - 0.06 * row, label, color=INK, va="top")
    for axis in (top, bottom):
        _style(axis)
    figure.savefig(path, dpi=130)
    plt.close(figure)


_CALLS = (BENIGN, MALIGNANT, REFUSED)
_SHADES = LinearSegmentedColormap.from_list("shades", ["#f7fafa", VALIDATION])


def _operating_point(predictions: Predictions) -> tuple[float, float]:
    """False positive rate and sensitivity of the verdicts; a refusal counts as not malignant."""
    called = predictions.calls == MALIGNANT
    return float(called[predictions.labels == 0].mean()), float(
        called[predictions.labels == 1].mean()
    )


def _style(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color=GRID, linewidth=0.5)
    axis.set_axisbelow(True)
