"""The last linear layers of a finished network, fitted once more: one for each kind of photo."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.datasets.manifest import KINDS, Row
from training.fit.lesion_head import embed

PENALTY = 0.001
"""Inverse strength of the penalty (scikit-learn's ``C``). At 0.0003, 0.001 and 0.003 the validation
AUC of cnn7, one view, is 0.868, 0.868 and 0.864 on clinical photos, 0.909 to 0.911 on others."""

MELANOMA_WEIGHT = 2.0
"""Weight of a melanoma; it is the deadliest and, in clinical photos, one malignant lesion in eight.
At 1, 2 and 4 melanomas are told from benign lesions in clinical photos with an AUC of 0.716, 0.750
and 0.778, and all malignant lesions with 0.868, 0.863 and 0.855."""

MIN_IMAGES = 200
"""Images of a kind that its layer needs to be fitted again; with fewer it stays as trained."""


def refit_malignant(
    model: keras.Model, images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], rows: list[Row]
) -> None:
    """Fit the layers ``clinical_map`` and ``dermoscopic_map`` again, by logistic regression.

    In training they follow an embedding that moves to the end, on changed photos and with the
    classes of every source balanced. Last-layer retraining (Kirichenko et al. 2023,
    arXiv:2204.02937) raised validation AUC from 0.876 to 0.906 on dermoscopic and from 0.843 to
    0.863 on clinical photos (cnn7, one view).

    Args:
        model: a trained network of ``training.networks`` with both layers; they are changed.
        images: the training photos, uint8 (500, 500, 3) each.
        rows: their rows.
    """
    set_malignant(model, embed(model, images), rows)


def set_malignant(model: keras.Model, embeddings: NDArray[np.float32], rows: list[Row]) -> None:
    """``refit_malignant`` for embeddings, float32 (n, channels), that are known already."""
    malignant = np.array([row.malignant for row in rows])
    weights = np.array([MELANOMA_WEIGHT if row.diagnosis == "melanoma" else 1.0 for row in rows])
    for kind in KINDS:
        chosen = np.array([row.kind == kind for row in rows])
        if chosen.sum() < MIN_IMAGES or len(set(malignant[chosen])) < 2:
            continue
        scale, fitted = make_pipeline(
            StandardScaler(), LogisticRegression(C=PENALTY, max_iter=2000)
        ).fit(
            embeddings[chosen],
            malignant[chosen],
            logisticregression__sample_weight=weights[chosen],
        )
        kernel = fitted.coef_[0] / scale.scale_
        bias = fitted.intercept_ - kernel @ scale.mean_
        model.get_layer(f"{kind}_map").set_weights([kernel[:, None], bias])
