"""Draw sheets of a model's worst mistakes: the wrong verdicts of which it was most certain.

The sheets show photos whose terms forbid passing them on, so the folder has a ``.gitignore``.
"""

import math
from pathlib import Path

import numpy as np

from lens.images import decode
from training.datasets.manifest import Row
from training.evaluation.metrics import BENIGN, MALIGNANT, Predictions
from training.evaluation.predictions import read_photo
from training.plotting import INK, plt

SHEET_COLUMNS, SHEET_ROWS = 6, 4
THUMBNAIL_STEP = 4
"""Every fourth pixel is drawn, so a photo of 500 px becomes 125 px wide."""


def draw_mistakes(rows: list[Row], predictions: Predictions, folder: Path) -> None:
    """Draw the worst mistakes: at most 24 missed lesions, and at most 24 false alarms.

    Args:
        rows: the photos.
        predictions: the predictions for the rows, in their order.
        folder: where ``missed.png`` and ``false_alarms.png`` go; an empty sheet is not written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    missed = (predictions.labels == MALIGNANT) & (predictions.calls == BENIGN)
    alarms = (predictions.labels == BENIGN) & (predictions.calls == MALIGNANT)
    sheets = {
        "missed": ("Malignant, called benign", missed, predictions.probabilities),
        "false_alarms": ("Benign, called malignant", alarms, -predictions.probabilities),
    }
    for name, (title, wrong, order) in sheets.items():
        path = folder / f"{name}.png"
        path.unlink(missing_ok=True)  # It may show an earlier model's mistakes.
        worst = [int(i) for i in np.argsort(order, kind="stable") if wrong[i]]
        if worst:
            _draw(f"{title}: {len(worst)}, most certain first", worst, rows, predictions, path)


def _draw(
    title: str, worst: list[int], rows: list[Row], predictions: Predictions, path: Path
) -> None:
    worst = worst[: SHEET_ROWS * SHEET_COLUMNS]
    sheet_rows = math.ceil(len(worst) / SHEET_COLUMNS)
    size = (12, 2.4 * sheet_rows + 0.4)
    figure, axes = plt.subplots(
        sheet_rows, SHEET_COLUMNS, figsize=size, layout="constrained", squeeze=False
    )
    figure.suptitle(title, color=INK)
    for axis in axes.flat:
        axis.axis("off")
    for axis, index in zip(axes.flat, worst, strict=False):
        row = rows[index]
        axis.imshow(decode(read_photo(row))[::THUMBNAIL_STEP, ::THUMBNAIL_STEP])
        caption = (
            f"{predictions.probabilities[index]:.1%}, {row.diagnosis}\n{row.source}, {row.kind}"
        )
        axis.set_title(f"{caption} {Path(row.path).stem}", fontsize=7, color=INK)
    figure.savefig(path, dpi=110)
    plt.close(figure)
