"""Decode the photos of a run on all cores, and keep them on the device."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from training.datasets.manifest import CLINICAL, Row
from training.fit.batches import DIAGNOSES
from training.fit.image_cache import open_images
from training.fit.negatives import crop_skin, paint_negative
from training.fit.sampling import sampling_weights
from training.fit.splits import Splits
from training.gpu.recipe import GpuRecipe

_RIM_PIXELS = 12
"""Width of a photo's rim, whose mean colour fills the area outside the photo."""

_BATCH = 256  # Photos copied together: 190 MB.


@dataclass(frozen=True)
class Photos:
    """Photos on the device.

    Attributes:
        pixels: uint8 (n, 3, 500, 500).
        rims: mean colour near the border, float32 (n, 3).
    """

    pixels: torch.Tensor
    rims: torch.Tensor

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class TrainingSet:
    """The photos and labels that views are made from.

    Attributes:
        lesions: n photos.
        weights: cumulative sampling weights of the lesions, float64 (n,).
        malignant, clinical: 0 or 1, float32 (n,).
        diagnosis: index in ``DIAGNOSES``, -1 for any other, int64 (n,).
        others: photographs and painted patterns without a lesion; never empty.
    """

    lesions: Photos
    weights: torch.Tensor
    malignant: torch.Tensor
    clinical: torch.Tensor
    diagnosis: torch.Tensor
    others: Photos

    @property
    def device(self) -> torch.device:
        """The device of all tensors."""
        return self.weights.device


@dataclass(frozen=True)
class ValidationSet:
    """The validation photos on the device, uint8 (n, 3, 500, 500), and their rows."""

    pixels: torch.Tensor
    rows: list[Row]


def choose_device() -> torch.device:
    """The GPU if there is one, otherwise the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(device: torch.device) -> torch.dtype:
    """Type of a view's pixels: float16 saves memory on a GPU, but is slow on a CPU."""
    return torch.float16 if device.type == "cuda" else torch.float32


def open_photos(
    splits: Splits, cache: Path, recipe: GpuRecipe, seed: int, device: torch.device
) -> tuple[TrainingSet, ValidationSet]:
    """Decode the photos of the splits, or take them from the cache, and copy them to the device.

    Raises:
        ManifestError: a photo is missing or cannot be decoded.
        DiskFull: there is not enough disk space for the decoded photos.
    """
    lesions = open_images(splits.train, cache)
    others = _to_device(open_images(splits.others, cache), device)
    copies = torch.tensor([recipe.copies.get(row.source, 1) for row in splits.others])
    others = others.repeat_interleave(copies.to(device, torch.int64), 0)
    rows = splits.train
    targets = {
        "malignant": [row.malignant for row in rows],
        "clinical": [row.kind == CLINICAL for row in rows],
    }
    on_device = {
        name: torch.tensor(values, dtype=torch.float32, device=device)
        for name, values in targets.items()
    }
    classes = {name: index for index, name in enumerate(DIAGNOSES)}
    negatives = [others, _to_device(_make_negatives(lesions, recipe, seed), device)]
    training = TrainingSet(
        lesions=with_rims(_to_device(lesions, device)),
        weights=torch.from_numpy(np.cumsum(sampling_weights(rows, recipe.emphasis))).to(device),
        diagnosis=torch.tensor([classes.get(row.diagnosis, -1) for row in rows], device=device),
        others=with_rims(torch.cat(negatives)),
        **on_device,
    )
    return training, ValidationSet(_to_device(open_images(splits.val, cache), device), splits.val)


def _make_negatives(lesions: np.ndarray, recipe: GpuRecipe, seed: int) -> np.ndarray:
    """Painted patterns and crops of bare skin: uint8 (m, 500, 500, 3)."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(len(lesions), size=recipe.skin_crops)
    crops = [crop_skin(np.asarray(lesions[index]), rng) for index in chosen]
    painted = [paint_negative(rng) for _ in range(recipe.painted)]
    return np.stack([*painted, *(crop for crop in crops if crop is not None)])


def _to_device(images: np.ndarray, device: torch.device) -> torch.Tensor:
    """Copy images, uint8 (n, h, w, 3), to the device as (n, 3, h, w)."""
    count, height, width, channels = images.shape
    copied = torch.empty((count, channels, height, width), dtype=torch.uint8, device=device)
    for start in tqdm(range(0, count, _BATCH), f"copying {count:,} photos", unit="batch"):
        part = torch.from_numpy(np.array(images[start : start + _BATCH])).to(device)
        copied[start : start + len(part)] = part.permute(0, 3, 1, 2)
    return copied


def with_rims(pixels: torch.Tensor) -> Photos:
    """Add the colours of the rims to pixels, uint8 (n, 3, 500, 500)."""
    rims = [_rim(part) for part in pixels.split(_BATCH)]
    return Photos(pixels, torch.cat(rims))


def _rim(pixels: torch.Tensor) -> torch.Tensor:
    sides = (
        pixels[:, :, :_RIM_PIXELS],
        pixels[:, :, -_RIM_PIXELS:],
        pixels[..., :_RIM_PIXELS],
        pixels[..., -_RIM_PIXELS:],
    )
    return torch.cat([side.flatten(2) for side in sides], 2).float().mean(2)
