"""Picture sheets of a model's worst mistakes: what it was surest of and wrong about.

They show photos of the sets, whose terms forbid passing them on: the folder tells git to ignore it.
"""

import math
from pathlib import Path

import numpy as np

from lens.images import decode
from training.datasets.manifest import Row
from training.evaluation.metrics import BENIGN, MALIGNANT, Answers
from training.evaluation.predictions import read_photo
from training.plotting import INK, plt

COLUMNS, LINES = 6, 4
THUMBNAIL = 4
"""Every fourth pixel is drawn: 125 px of 500."""


def draw_mistakes(rows: list[Row], answers: Answers, folder: Path) -> None:
    """Draw the worst 24 malignant lesions called benign, and benign ones called malignant.

    Args:
        rows: the photos that were judged.
        answers: of the rows, in their order.
        folder: gets ``missed.png`` and ``false_alarms.png``; a sheet without pictures is not made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    missed = (answers.labels == MALIGNANT) & (answers.calls == BENIGN)
    alarms = (answers.labels == BENIGN) & (answers.calls == MALIGNANT)
    sheets = {
        "missed": ("Malignant, called benign", missed, answers.probabilities),
        "false_alarms": ("Benign, called malignant", alarms, -answers.probabilities),
    }
    for name, (title, wrong, order) in sheets.items():
        path = folder / f"{name}.png"
        path.unlink(missing_ok=True)  # of an earlier model
        worst = [int(i) for i in np.argsort(order, kind="stable") if wrong[i]]
        if worst:
            _draw(f"{title}: {len(worst)}, the surest first", worst, rows, answers, path)


def _draw(title: str, worst: list[int], rows: list[Row], answers: Answers, path: Path) -> None:
    worst = worst[: LINES * COLUMNS]
    lines = math.ceil(len(worst) / COLUMNS)
    size = (12, 2.4 * lines + 0.4)
    figure, axes = plt.subplots(lines, COLUMNS, figsize=size, layout="constrained", squeeze=False)
    figure.suptitle(title, color=INK)
    for axis in axes.flat:
        axis.axis("off")
    for axis, index in zip(axes.flat, worst, strict=False):
        row = rows[index]
        axis.imshow(decode(read_photo(row))[::THUMBNAIL, ::THUMBNAIL])
        caption = f"{answers.probabilities[index]:.1%}, {row.diagnosis}\n{row.source}"
        axis.set_title(f"{caption} {Path(row.path).stem}", fontsize=7, color=INK)
    figure.savefig(path, dpi=110)
    plt.close(figure)
