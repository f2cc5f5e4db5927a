"""The refusal output, fitted once more on what the finished network makes of lesions and others."""

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from training.fit.batches import Examples, sampling_weights
from training.fit.negatives import cut_skin, paint_nonsense

LESIONS, NONSENSE, SKIN = 3000, 300, 800
"""Lesions and paintings to fit on, and corners to try: a quarter of them show bare skin alone."""

PENALTY = 0.01
"""Inverse strength of the penalty (scikit-learn's ``C``). Of 0.1, 0.01 and 0.001 this one alone
refused every photograph of validation where 1 % of dermoscopy and 3 % of phones may be refused."""

_BATCH = 32


def refit_refusal(model: keras.Model, examples: Examples, seed: int) -> None:
    """Fit the output ``lesion`` again by logistic regression on the embedding of whole photos.

    In training it is a side task on changed photos, and the embedding under it moves to the end.
    Last-layer retraining is Kirichenko et al. 2023 (arXiv:2204.02937). It costs two minutes.

    Args:
        model: a trained ``cnn7`` or ``efficientnet_lite0``; its layer ``lesion`` is changed.
        examples: the training images, with what is no lesion.
        seed: of the lesions, paintings and corners.
    """
    rng = np.random.default_rng(seed)
    # Without replacement, each source about as often as in training (Efraimidis and Spirakis 2006).
    keys = np.log(rng.random(len(examples.rows))) / sampling_weights(examples.rows)
    lesions = [examples.images[index] for index in np.sort(np.argsort(keys)[-LESIONS:])]
    corners = (
        cut_skin(examples.images[index], rng)
        for index in rng.integers(len(examples.rows), size=SKIN)
    )
    painted = [paint_nonsense(rng) for _ in range(NONSENSE)]
    painted += [corner for corner in corners if corner is not None]
    network = keras.Model(model.input, model.get_layer("embedding").output)
    embeddings = _embed(network, [*lesions, *examples.others, *painted])
    shows_lesion = np.arange(len(embeddings)) < len(lesions)
    scale, fitted = make_pipeline(
        StandardScaler(), LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=2000)
    ).fit(embeddings, shows_lesion)
    kernel = fitted.coef_[0] / scale.scale_
    bias = fitted.intercept_ - kernel @ scale.mean_
    model.get_layer("lesion").set_weights([kernel[:, None], bias])


def _embed(network: keras.Model, images: list[np.ndarray]) -> np.ndarray:
    batches = range(0, len(images), _BATCH)
    return np.concatenate(
        [
            network.predict_on_batch(np.stack(images[start : start + _BATCH]).astype(np.float32))
            for start in tqdm(batches, "fitting the refusal", unit="batch")
        ]
    )
