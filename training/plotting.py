"""Plot the curves of a training run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # This backend works without a display.
import matplotlib.pyplot as plt

__all__ = ["INK", "TRAIN", "VALIDATION", "plot_curves", "plt"]

INK, TRAIN, VALIDATION = "#1f2933", "#8a94a0", "#0b6e75"


def plot_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Plot loss, accuracy and AUC of training and validation over the epochs, as one PNG."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axis, name in zip(axes, ("loss", "accuracy", "auc"), strict=True):
        training = [row.get(f"malignant_{name}", row.get(name)) for row in history]
        axis.plot(epochs, training, color=TRAIN, label="training (augmented)")
        axis.plot(epochs, [r[f"val_{name}"] for r in history], color=VALIDATION, label="validation")
        axis.set(title=name.upper() if name == "auc" else name.capitalize(), xlabel="epoch")
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=130)
    plt.close(figure)
