"""Read the images that training uses from a manifest."""

from dataclasses import dataclass
from pathlib import Path

from training.datasets.manifest import ManifestError, Row, read_manifest, read_not_lesion


@dataclass(frozen=True)
class Splits:
    """The rows that training uses; ``others`` are photographs without a lesion."""

    train: list[Row]
    val: list[Row]
    others: list[Row]


def read_splits(manifest: Path) -> Splits:
    """Read the rows for training from a manifest, and from ``not_lesion.csv`` beside it.

    Raises:
        ManifestError: a split lacks a class, or a manifest cannot be read.
    """
    rows = read_manifest(manifest)
    chosen = {split: [row for row in rows if row.split == split] for split in ("train", "val")}
    for split, members in chosen.items():
        classes = len({row.malignant for row in members})
        if classes < 2:
            raise ManifestError(
                f"{manifest}: expected benign and malignant images in the {split} split, "
                f"got {len(members)} images of {classes} classes"
            )
    others = [row for row in read_not_lesion(manifest) if row.split == "train"]
    return Splits(chosen["train"], chosen["val"], others)
