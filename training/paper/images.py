"""Choose the images of the experiment from a manifest."""

import dataclasses
from collections import Counter
from dataclasses import dataclass

import numpy as np

from training.datasets.manifest import ManifestError, Row

SOURCES = ("isic2019", "siim2020")
"""The paper used SIIM-ISIC 2020, with additional melanomas from the ISIC Archive."""

VALIDATION_SHARE = 0.2
"""Share of the training images that is used for validation (section III of the paper)."""

BENIGN_PER_MALIGNANT = 12
"""Benign images per malignant one in the paper's imbalanced run (section II A)."""


@dataclass(frozen=True)
class Chosen:
    """The melanomas and benign images of the experiment.

    Attributes:
        balanced: melanomas, and a benign image of the same source for each. ``split`` is train or
            val, assigned for this experiment, not the manifest's.
        imbalanced: as many images, with 12 benign ones per melanoma; split like ``balanced``.
        held_out: images of the manifest's test split, which share no lesion or patient with the
            training images.
        everything: images of all splits, including training images, as the paper tested.
        available: maximum size of ``balanced``.
    """

    balanced: list[Row]
    imbalanced: list[Row]
    held_out: list[Row]
    everything: list[Row]
    available: int


def choose(rows: list[Row], images: int | None, seed: int) -> Chosen:
    """Choose the experiment's images at random.

    Args:
        rows: the rows of the manifest.
        images: maximum size of the balanced set and of each test set; None for all images.
        seed: seed of the choice.

    Raises:
        ManifestError: there are too few melanomas or benign images.
    """
    rng = np.random.default_rng(seed)
    shuffled = [rows[i] for i in rng.permutation(len(rows))]
    known = [
        row
        for row in shuffled
        if row.source in SOURCES and (not row.malignant or row.diagnosis == "melanoma")
    ]
    pool = [row for row in known if row.split != "test"]
    pairs = _pair_by_source(pool)
    wanted = len(pairs) if images is None else min(len(pairs), images // 2)
    balanced = _assign_splits([row for pair in pairs[:wanted] for row in pair])
    imbalanced = _assign_splits(_imbalanced(pool, 2 * wanted))
    for name, part in (("1:1", balanced), (f"{BENIGN_PER_MALIGNANT}:1", imbalanced)):
        if min(Counter((row.malignant, row.split) for row in part).values(), default=0) < 1 or (
            len({(row.malignant, row.split) for row in part}) < 4
        ):
            raise ManifestError(
                f"expected enough melanomas and benign images of {' and '.join(SOURCES)} for a "
                f"{name} training set, a fifth of it for validation; got {len(part)} images"
            )
    held_out = [row for row in known if row.split == "test"]
    return Chosen(balanced, imbalanced, held_out[:images], known[:images], 2 * len(pairs))


def _pair_by_source(pool: list[Row]) -> list[tuple[Row, Row]]:
    """Pair each melanoma with a benign image of its source, so that the source predicts nothing."""
    benign = {name: [r for r in pool if r.source == name and not r.malignant] for name in SOURCES}
    melanomas = [row for row in pool if row.malignant]
    return [(row, benign[row.source].pop()) for row in melanomas if benign[row.source]]


def _imbalanced(pool: list[Row], size: int) -> list[Row]:
    malignant = max(2, round(size / (BENIGN_PER_MALIGNANT + 1)))
    benign = [row for row in pool if not row.malignant][: size - malignant]
    return benign + [row for row in pool if row.malignant][:malignant]


def _assign_splits(rows: list[Row]) -> list[Row]:
    """Use a fifth of each class for validation, split by image, as the paper's generator does."""
    assigned = []
    for malignant in (0, 1):
        members = [row for row in rows if row.malignant == malignant]
        count = max(1, round(VALIDATION_SHARE * len(members)))
        assigned += [dataclasses.replace(row, split="val") for row in members[:count]]
        assigned += [dataclasses.replace(row, split="train") for row in members[count:]]
    return assigned


def count_leaked(rows: list[Row]) -> int:
    """Count the validation images whose lesion or patient is also in the training images."""
    trained = {row.group for row in rows if row.split == "train"}
    return sum(row.split == "val" and row.group in trained for row in rows)
