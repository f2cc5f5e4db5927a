"""The photos of a training run, decoded with all cores and kept on the device."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from training.datasets.manifest import CLINICAL, Row
from training.fit.batches import DIAGNOSES, open_images
from training.fit.negatives import cut_skin, paint_nonsense
from training.fit.run import Splits
from training.fit.sampling import sampling_weights
from training.gpu.recipe import GpuRecipe

_RIM = 12
"""Pixels at each side of a photo whose mean colour continues it outside."""

_AT_ONCE = 256  # photos copied together: 190 MB


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
    """What views are made from.

    Attributes:
        lesions: n photos.
        weights: sums of the lesions' weights up to each, float64 (n,).
        malignant, clinical: 0 or 1, float32 (n,).
        diagnosis: place in ``DIAGNOSES``, -1 for any other, int64 (n,).
        others: photos and paintings of anything but a lesion; never empty.
    """

    lesions: Photos
    weights: torch.Tensor
    malignant: torch.Tensor
    clinical: torch.Tensor
    diagnosis: torch.Tensor
    others: Photos

    @property
    def device(self) -> torch.device:
        """Where all of it lies."""
        return self.weights.device


@dataclass(frozen=True)
class ValidationSet:
    """Photos that judge the networks: uint8 (n, 3, 500, 500) on the device, and their rows."""

    pixels: torch.Tensor
    rows: list[Row]


def choose_device() -> torch.device:
    """The GPU, where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(device: torch.device) -> torch.dtype:
    """Type of a view's pixels: half the memory on a GPU; a CPU is slow with it."""
    return torch.float16 if device.type == "cuda" else torch.float32


def open_photos(
    splits: Splits, cache: Path, recipe: GpuRecipe, seed: int, device: torch.device
) -> tuple[TrainingSet, ValidationSet]:
    """Decode the photos of the splits, or take them from the cache, and copy them to the device.

    Raises:
        ManifestError: a photo is missing or cannot be decoded.
        training.fit.batches.DiskFull: there is no room for the decoded photos.
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
    places = {name: place for place, name in enumerate(DIAGNOSES)}
    negatives = [others, _to_device(_made(lesions, recipe, seed), device)]
    training = TrainingSet(
        lesions=with_rims(_to_device(lesions, device)),
        weights=torch.from_numpy(np.cumsum(sampling_weights(rows, recipe.emphasis))).to(device),
        diagnosis=torch.tensor([places.get(row.diagnosis, -1) for row in rows], device=device),
        others=with_rims(torch.cat(negatives)),
        **on_device,
    )
    return training, ValidationSet(_to_device(open_images(splits.val, cache), device), splits.val)


def _made(lesions: np.ndarray, recipe: GpuRecipe, seed: int) -> np.ndarray:
    """Painted negatives and corners of bare skin: uint8 (m, 500, 500, 3)."""
    rng = np.random.default_rng(seed)
    tried = rng.integers(len(lesions), size=recipe.skin_corners)
    corners = [cut_skin(np.asarray(lesions[place]), rng) for place in tried]
    painted = [paint_nonsense(rng) for _ in range(recipe.painted)]
    return np.stack([*painted, *(corner for corner in corners if corner is not None)])


def _to_device(images: np.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 (n, h, w, 3) to (n, 3, h, w)."""
    count, height, width, channels = images.shape
    copied = torch.empty((count, channels, height, width), dtype=torch.uint8, device=device)
    for start in tqdm(range(0, count, _AT_ONCE), f"copying {count:,} photos", unit="batch"):
        part = torch.from_numpy(np.array(images[start : start + _AT_ONCE])).to(device)
        copied[start : start + len(part)] = part.permute(0, 3, 1, 2)
    return copied


def with_rims(pixels: torch.Tensor) -> Photos:
    """Photos of pixels, uint8 (n, 3, 500, 500)."""
    rims = [_rim(part) for part in pixels.split(_AT_ONCE)]
    return Photos(pixels, torch.cat(rims))


def _rim(pixels: torch.Tensor) -> torch.Tensor:
    sides = (
        pixels[:, :, :_RIM],
        pixels[:, :, -_RIM:],
        pixels[..., :_RIM],
        pixels[..., -_RIM:],
    )
    return torch.cat([side.flatten(2) for side in sides], 2).float().mean(2)
