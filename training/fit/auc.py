"""AUC on validation: over all photos, by kind of photo, and by source."""

import numpy as np
from sklearn.metrics import roc_auc_score

from training.datasets.manifest import KINDS, Row


def auc_by_part(rows: list[Row], scores: np.ndarray) -> dict[str, float]:
    """AUC of p(malignant), or of its logit, for each part of some photos that has both classes.

    Args:
        rows: of the photos.
        scores: float (len(rows),), higher for malignant.

    Returns:
        By the name of a kind or a source.
    """
    labels = np.array([row.malignant for row in rows])
    parts = {kind: [row.kind == kind for row in rows] for kind in KINDS}
    for source in sorted({row.source for row in rows}):
        parts[source] = [row.source == source for row in rows]
    return {
        name: float(roc_auc_score(labels[chosen], scores[chosen]))
        for name, chosen in ((name, np.array(members)) for name, members in parts.items())
        if len(set(labels[chosen])) == 2
    }
