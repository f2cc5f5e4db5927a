"""Refit the last linear layers of a trained network by logistic regression on its embedding.

Training fits these layers to an embedding that keeps changing, on augmented photos with balanced
classes. The refit uses the final embedding of images that are not augmented (last-layer retraining,
Kirichenko et al. 2023, arXiv:2204.02937).
"""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from training.datasets.manifest import KINDS, Row
from training.fit.batches import Examples
from training.fit.negatives import crop_skin, paint_negative
from training.fit.sampling import sampling_weights

LESION_SAMPLES, PAINTED_SAMPLES, SKIN_CROPS = 3000, 300, 800
"""Images to fit the output ``lesion`` on: lesions, painted patterns, and attempts to crop bare
skin, of which about one in four succeeds."""

LESION_C = 0.01
"""Inverse regularisation strength of the output ``lesion`` (scikit-learn's ``C``). Of 0.1, 0.01 and
0.001, only this value refused every photograph without a lesion in validation when 1 % of
dermoscopic and 3 % of smartphone photos could be refused."""

MALIGNANT_C = 0.001
"""The same for the layers ``clinical_map`` and ``dermoscopic_map``. With 0.0003, 0.001 and 0.003
the validation AUC of cnn7, one view, is 0.868, 0.868 and 0.864 on clinical photos, and 0.909 to
0.911 on dermoscopic ones."""

MELANOMA_WEIGHT = 2.0
"""Weight of a melanoma. Melanoma is the deadliest lesion, but makes up only an eighth of the
malignant lesions in clinical photos. With 1, 2 and 4 the AUC of melanomas against benign lesions in
clinical photos is 0.716, 0.750 and 0.778, and that of all malignant lesions 0.868, 0.863 and 0.855.
"""

MIN_IMAGES = 200
"""A kind of photo with fewer training images keeps its trained layer."""

_BATCH = 32

Images = Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
"""Images, uint8 (500, 500, 3) each."""


def refit_refusal(model: keras.Model, examples: Examples, seed: int) -> None:
    """Refit the output ``lesion``, in about two minutes.

    Args:
        model: a trained ``cnn7`` or ``efficientnet_lite0``; its layer ``lesion`` is changed.
        examples: the training images, with photographs of other things.
        seed: seed of the choice of lesions, patterns and crops.
    """
    rng = np.random.default_rng(seed)
    # Weighted sampling without replacement, with the weights of training (Efraimidis and Spirakis
    # 2006).
    keys = np.log(rng.random(len(examples.rows))) / sampling_weights(examples.rows)
    lesions = [examples.images[index] for index in np.sort(np.argsort(keys)[-LESION_SAMPLES:])]
    crops = (
        crop_skin(examples.images[index], rng)
        for index in rng.integers(len(examples.rows), size=SKIN_CROPS)
    )
    negatives = [paint_negative(rng) for _ in range(PAINTED_SAMPLES)]
    negatives += [crop for crop in crops if crop is not None]
    embeddings = embed(model, [*lesions, *examples.others, *negatives])
    shows_lesion = np.arange(len(embeddings)) < len(lesions)
    regression = LogisticRegression(C=LESION_C, class_weight="balanced", max_iter=2000)
    _refit(model.get_layer("lesion"), regression, embeddings, shows_lesion)


def refit_malignant(model: keras.Model, images: Images, rows: list[Row]) -> None:
    """Refit the layers ``clinical_map`` and ``dermoscopic_map`` on the training photos.

    This raised the validation AUC of cnn7, one view, from 0.876 to 0.906 on dermoscopic and from
    0.843 to 0.863 on clinical photos.
    """
    refit_malignant_on_embeddings(model, embed(model, images), rows)


def refit_malignant_on_embeddings(
    model: keras.Model, embeddings: NDArray[np.float32], rows: list[Row]
) -> None:
    """Do the same with embeddings, float32 (n, channels), that are already computed."""
    malignant = np.array([row.malignant for row in rows])
    weights = np.array([MELANOMA_WEIGHT if row.diagnosis == "melanoma" else 1.0 for row in rows])
    for kind in KINDS:
        chosen = np.array([row.kind == kind for row in rows])
        if chosen.sum() < MIN_IMAGES or len(set(malignant[chosen])) < 2:
            continue
        regression = LogisticRegression(C=MALIGNANT_C, max_iter=2000)
        layer = model.get_layer(f"{kind}_map")
        _refit(layer, regression, embeddings[chosen], malignant[chosen], weights[chosen])


def _refit(
    layer: keras.layers.Layer,
    regression: LogisticRegression,
    embeddings: NDArray[np.float32],
    labels: NDArray[np.generic],
    weights: NDArray[np.float64] | None = None,
) -> None:
    """Fit a regression on standardised embeddings, and set the layer to compute the same."""
    scale, fitted = make_pipeline(StandardScaler(), regression).fit(
        embeddings, labels, logisticregression__sample_weight=weights
    )
    kernel = fitted.coef_[0] / scale.scale_
    layer.set_weights([kernel[:, None], fitted.intercept_ - kernel @ scale.mean_])


def embed(model: keras.Model, images: Images) -> NDArray[np.float32]:
    """The output of the layer ``embedding`` for images: float32 (n, channels)."""
    network = keras.Model(model.input, model.get_layer("embedding").output)
    batches = range(0, len(images), _BATCH)
    return np.concatenate(
        [
            network.predict_on_batch(
                np.stack(list(images[start : start + _BATCH])).astype(np.float32)
            )
            for start in tqdm(batches, "embedding", unit="batch")
        ]
    )
