"""Compute the AUC by kind of photo and by source."""

import numpy as np
from sklearn.metrics import roc_auc_score

from training.datasets.manifest import KINDS, Row


def auc_by_part(rows: list[Row], scores: np.ndarray) -> dict[str, float]:
    """Compute the AUC for each kind of photo and each source that has both classes.

    Args:
        rows: the photos' rows.
        scores: p(malignant) or its logit, float (len(rows),).

    Returns:
        The AUC by name of the kind or source.
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
