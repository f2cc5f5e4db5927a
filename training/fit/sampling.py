"""Choose how often each training photo is drawn."""

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from training.datasets.manifest import CLINICAL, Row


@dataclass(frozen=True)
class Emphasis:
    """Factors by which some photos are drawn more or less often; 1 changes nothing.

    Attributes:
        clinical: for clinical photos.
        melanoma: for melanomas.
        sources: for the photos of a source, by its name.
    """

    clinical: float = 1.0
    melanoma: float = 1.0
    sources: dict[str, float] = field(default_factory=dict)


NO_EMPHASIS = Emphasis()

CLINICAL_EMPHASIS = Emphasis(
    # The app's users send clinical photos, but these are only a fifth of the training set.
    clinical=1.6,
    # Missing a melanoma does more harm than missing another malignant lesion.
    melanoma=1.6,
    # The classes of this set come from different cameras, so a network can learn the camera.
    sources={"melanoma10k": 0.6},
)
"""For networks that judge the photos of the app's users. Conventional values; not tuned."""


def sampling_weights(rows: list[Row], emphasis: Emphasis = NO_EMPHASIS) -> np.ndarray:
    """Probability of drawing each row, with balanced classes in every source and kind of photo.

    If a source contributed more to one class than to the other, a network would learn to recognise
    the source. For example, SIIM once was a quarter of the benign images and a twentieth of the
    malignant ones, and networks separated its few melanomas from its moles no better than chance.

    A source, or each kind of photo in it, is drawn in proportion to the square root of its smaller
    class. This is a compromise: in proportion to size the largest source would dominate, and with
    equal shares SIIM's 13 melanomas would be repeated a hundred times an epoch.

    Args:
        rows: the training photos.
        emphasis: draws some photos more or less often. With an emphasis on melanoma, malignant
            photos are drawn more often than benign ones.

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
    """The share of the photos with this source, kind and label in their class, not normalised."""
    source, kind, malignant = cell
    smaller = min(cells[cell], cells[source, kind, 1 - malignant] or cells[cell])
    factor = emphasis.clinical if kind == CLINICAL else 1.0
    return math.sqrt(smaller) * factor * emphasis.sources.get(source, 1.0)
