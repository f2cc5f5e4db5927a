"""The verdict that serving would give, and its probability, for the images of a manifest."""

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
from training.evaluation.metrics import BENIGN, MALIGNANT, REFUSED, Answers


@dataclass(frozen=True)
class Judge:
    """A model file ready to judge: what runs it, and its threshold and calibration."""

    engine: Engine
    card: Card

    def verdict(self, image: np.ndarray) -> Verdict:
        """What serving answers to uint8 (500, 500, 3)."""
        return judge(image, self.engine, self.card)

    def probability(self, image: np.ndarray) -> float:
        """Calibrated p(malignant), whether or not a verdict would be refused."""
        return self.calibrated(measure(image, self.engine, self.card))

    def calibrated(self, measured: Measurement) -> float:
        """p(malignant) at the operating point of the kind that the network took the photo for."""
        return self.card.point(measured.kind).probability(measured.logit)

    def call(self, verdict: Verdict) -> int:
        """MALIGNANT, BENIGN or REFUSED."""
        if verdict.status != "ok":
            return REFUSED
        return MALIGNANT if verdict.verdict == self.card.labels[1] else BENIGN


def read_photo(row: Row) -> bytes:
    """The file of a row.

    Raises:
        ManifestError: it is not there.
    """
    try:
        return Path(row.path).read_bytes()
    except OSError as error:
        raise ManifestError(
            f"{row.path}: listed in the manifest but not readable ({error.strerror}); "
            "run training.prepare again"
        ) from error


def photos(rows: list[Row], doing: str) -> Iterator[np.ndarray]:
    """Decoded photos in the rows' order, uint8 (500, 500, 3), with a progress bar.

    Raises:
        ManifestError: a file is missing or cannot be decoded.
    """
    for row in tqdm(rows, doing, unit="photo"):
        data = read_photo(row)
        try:
            yield decode(data)
        except InvalidImage as error:
            raise ManifestError(f"{row.path}: {error}") from error


def judge_all(rows: list[Row], judge_of: Judge, doing: str) -> tuple[Answers, list[Verdict]]:
    """Judge the photos of the rows, in their order.

    A refused lesion has no probability in its verdict; it is measured once more without the
    refusal, so that no figure of ranking or calibration gains by leaving hard lesions out.
    """
    verdicts, probabilities = [], []
    for image in photos(rows, doing):
        verdict = judge_of.verdict(image)
        probability = verdict.probability
        verdicts.append(verdict)
        probabilities.append(judge_of.probability(image) if probability is None else probability)
    answers = Answers(
        labels=np.array([row.malignant for row in rows], int),
        probabilities=np.array(probabilities, float),
        calls=np.array([judge_of.call(verdict) for verdict in verdicts], int),
        groups=np.array([row.group for row in rows]),
    )
    return answers, verdicts
