"""How often each training photo is drawn."""

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from training.datasets.manifest import CLINICAL, Row


@dataclass(frozen=True)
class Emphasis:
    """Factors on how often photos of one sort are drawn; 1 leaves them as they are.

    Attributes:
        clinical: of clinical photos.
        melanoma: of melanomas, beside the other malignant lesions.
        sources: of the photos of a source, by its name.
    """

    clinical: float = 1.0
    melanoma: float = 1.0
    sources: dict[str, float] = field(default_factory=dict)


EVEN = Emphasis()

PATIENTS_PHOTOS = Emphasis(
    # Patients send clinical photos, which are a fifth of the training set.
    clinical=1.6,
    # Of the malignant lesions a missed melanoma does the most harm.
    melanoma=1.6,
    # The two classes of this set come from different cameras: a network can learn the camera.
    sources={"melanoma10k": 0.6},
)
"""For networks that judge what patients send. Set once, for the run on a GPU; not tuned."""


def sampling_weights(rows: list[Row], emphasis: Emphasis = EVEN) -> np.ndarray:
    """Probability of drawing each row: both classes alike in every source and kind of photo.

    Where a source has a larger share of one class than of the other, a network learns to know the
    source: drawn by the root of its size, SIIM was a quarter of the benign and a twentieth of the
    malignant, and its few melanomas were told from its moles no better than by chance. The
    share of a source (of each kind of photo in it) is the root of its smaller class: between its
    size, where the largest would decide, and evenly, where SIIM's 13 melanomas would be shown a
    hundred times an epoch.

    Args:
        rows: the training photos.
        emphasis: on some of them. That on melanoma draws more malignant photos than benign ones.

    Returns:
        float64 (len(rows),), summing to 1.
    """
    cells = Counter((row.source, row.kind, row.malignant) for row in rows)
    shares = {cell: _share(cell, cells, emphasis) for cell in cells}
    totals = [sum(share for cell, share in shares.items() if cell[2] == m) for m in (0, 1)]
    weights = np.array(
        [
            shares[cell] / (2 * totals[cell[2]] * cells[cell])
            for cell in ((row.source, row.kind, row.malignant) for row in rows)
        ]
    )
    weights *= [emphasis.melanoma if row.diagnosis == "melanoma" else 1.0 for row in rows]
    return weights / weights.sum()


def _share(
    cell: tuple[str, str, int], cells: Counter[tuple[str, str, int]], emphasis: Emphasis
) -> float:
    """How much of its class a source's photos of one kind are, before all are made to sum to 1."""
    source, kind, malignant = cell
    smaller = min(cells[cell], cells[source, kind, 1 - malignant] or cells[cell])
    factor = emphasis.clinical if kind == CLINICAL else 1.0
    return math.sqrt(smaller) * factor * emphasis.sources.get(source, 1.0)
