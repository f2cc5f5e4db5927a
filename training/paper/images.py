"""Which images stand for the paper's: as many melanomas as benign ones, and those held out."""

import dataclasses
from collections import Counter
from dataclasses import dataclass

import numpy as np

from training.datasets.manifest import ManifestError, Row

SOURCES = ("isic2019", "siim2020")
"""The paper's: SIIM-ISIC 2020, filled up with melanomas of the ISIC Archive."""

VALIDATION = 0.2
"""Share of the training images (section III)."""

BENIGN_TO_MALIGNANT = 12
"""In the run that fooled the paper (section II A)."""


@dataclass(frozen=True)
class Chosen:
    """The images of the experiment, each with its part in ``split``.

    Attributes:
        balanced: one benign image of the same source to each melanoma; train and val.
        imbalanced: as many images, benign to malignant 12:1; train and val.
        held_out: the manifest's test split of the same sources; shares no lesion or patient with
            the others.
        everything: all images of the sources, with the training images among them: what the paper
            tested on.
        available: images that ``balanced`` could have.
    """

    balanced: list[Row]
    imbalanced: list[Row]
    held_out: list[Row]
    everything: list[Row]
    available: int


def choose(rows: list[Row], images: int | None, seed: int) -> Chosen:
    """Draw the experiment's images from a manifest.

    Args:
        rows: of the manifest.
        images: size of the balanced set, and the most that a test set may hold; None for all.
        seed: of the drawing.

    Raises:
        ManifestError: the sources hold too few melanomas or benign images.
    """
    rng = np.random.default_rng(seed)
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    known = [
        row
        for row in shuffled
        if row.source in SOURCES and (not row.malignant or row.diagnosis == "melanoma")
    ]
    pool = [row for row in known if row.split != "test"]
    pairs = _pairs(pool)
    wanted = len(pairs) if images is None else min(len(pairs), images // 2)
    balanced = _with_parts([row for pair in pairs[:wanted] for row in pair])
    imbalanced = _with_parts(_imbalanced(pool, 2 * wanted))
    for name, part in (("1:1", balanced), (f"{BENIGN_TO_MALIGNANT}:1", imbalanced)):
        if min(Counter((row.malignant, row.split) for row in part).values(), default=0) < 1 or (
            len({(row.malignant, row.split) for row in part}) < 4
        ):
            raise ManifestError(
                f"expected melanomas and benign images of {' and '.join(SOURCES)} enough for a "
                f"{name} training set with a fifth set aside; {len(part)} images do not suffice"
            )
    held_out = [row for row in known if row.split == "test"]
    return Chosen(balanced, imbalanced, held_out[:images], known[:images], 2 * len(pairs))


def _pairs(pool: list[Row]) -> list[tuple[Row, Row]]:
    """Each melanoma with a benign image of its own source, so that the source tells nothing."""
    benign = {name: [r for r in pool if r.source == name and not r.malignant] for name in SOURCES}
    melanomas = [row for row in pool if row.malignant]
    return [(row, benign[row.source].pop()) for row in melanomas if benign[row.source]]


def _imbalanced(pool: list[Row], size: int) -> list[Row]:
    malignant = max(2, round(size / (BENIGN_TO_MALIGNANT + 1)))
    benign = [row for row in pool if not row.malignant][: size - malignant]
    return benign + [row for row in pool if row.malignant][:malignant]


def _with_parts(rows: list[Row]) -> list[Row]:
    """Set a fifth of each class aside for validation, by image, as the paper's generator does."""
    parts = []
    for malignant in (0, 1):
        members = [row for row in rows if row.malignant == malignant]
        aside = max(1, round(VALIDATION * len(members)))
        parts += [dataclasses.replace(row, split="val") for row in members[:aside]]
        parts += [dataclasses.replace(row, split="train") for row in members[aside:]]
    return parts


def shared_groups(rows: list[Row]) -> int:
    """Validation images that show a lesion or patient of the training images."""
    trained = {row.group for row in rows if row.split == "train"}
    return sum(row.split == "val" and row.group in trained for row in rows)
