"""Judge the images of a manifest as the web app does; a refused one also gets a probability."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lens.card import Card
from lens.engine import Engine
from lens.images import InvalidImage, decode
from lens.verdict import Measurement, Verdict, judge, measure
from training.datasets.manifest import ManifestError, Row
from training.evaluation.metrics import BENIGN, MALIGNANT, REFUSED, Predictions


@dataclass(frozen=True)
class Judge:
    """An opened model: the engine that runs it, and the card with its operating points."""

    engine: Engine
    card: Card

    def verdict(self, image: np.ndarray) -> Verdict:
        """The verdict that the web app gives on an image, uint8 (500, 500, 3)."""
        return judge(image, self.engine, self.card)

    def probability(self, image: np.ndarray) -> float:
        """Calibrated p(malignant) of an image, even if the web app refuses a verdict."""
        return self.calibrated_probability(measure(image, self.engine, self.card))

    def calibrated_probability(self, measured: Measurement) -> float:
        """Calibrated p(malignant), with the operating point of the predicted kind of photo."""
        return self.card.point(measured.kind).probability(measured.logit)

    def call(self, verdict: Verdict) -> int:
        """Encode a verdict as MALIGNANT, BENIGN or REFUSED."""
        if verdict.status != "ok":
            return REFUSED
        return MALIGNANT if verdict.verdict == self.card.labels[1] else BENIGN


def read_photo(row: Row) -> bytes:
    """Read the file of a row.

    Raises:
        ManifestError: it is missing or cannot be read.
    """
    try:
        return Path(row.path).read_bytes()
    except OSError as error:
        raise ManifestError(
            f"{row.path}: listed in the manifest but not readable ({error.strerror}); "
            "run training.prepare again"
        ) from error


def photos(rows: list[Row], description: str) -> Iterator[np.ndarray]:
    """Yield decoded photos in the order of the rows, uint8 (500, 500, 3), with a progress bar.

    Raises:
        ManifestError: a file is missing or cannot be decoded.
    """
    for row in tqdm(rows, description, unit="photo"):
        data = read_photo(row)
        try:
            yield decode(data)
        except InvalidImage as error:
            raise ManifestError(f"{row.path}: {error}") from error


def judge_all(rows: list[Row], model: Judge, description: str) -> tuple[Predictions, list[Verdict]]:
    """Judge the photos of the rows, in their order.

    The verdict on a refused photo has no probability, so the photo is measured again without the
    refusal. Otherwise AUC and calibration would benefit from leaving out hard photos.

    Raises:
        ManifestError: a file is missing or cannot be decoded.
    """
    verdicts, probabilities = [], []
    for image in photos(rows, description):
        verdict = model.verdict(image)
        probability = verdict.probability
        verdicts.append(verdict)
        probabilities.append(model.probability(image) if probability is None else probability)
    predictions = Predictions(
        labels=np.array([row.malignant for row in rows], int),
        probabilities=np.array(probabilities, float),
        calls=np.array([model.call(verdict) for verdict in verdicts], int),
        groups=np.array([row.group for row in rows]),
    )
    return predictions, verdicts
