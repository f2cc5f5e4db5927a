"""Make random views of photos on the device: draw, graft, transform, recolour and mix them.

On one kind of device, a batch of views depends only on the seed, its number and its length. So it
can be made again at another size: the teachers predict a view at 500 px, and the student learns
from it at 256 px.
"""

import math
from typing import NamedTuple

import torch
from torch.nn import functional

from training.gpu.camera import add_faults, change_colours
from training.gpu.draws import Draws, true_indices
from training.gpu.marks import Marks
from training.gpu.photos import Photos, TrainingSet, precision
from training.gpu.recipe import WORKING_SIZE, GpuRecipe


class Views(NamedTuple):
    """A batch of views.

    Attributes:
        pixels: 0-255, float16 or float32 (n, 3, size, size).
        lesions: index of the lesion in the training set, int64 (n,).
        is_lesion: 0 where the view shows something else, float32 (n,).
        whole: 0 where a part of another view is mixed in, float32 (n,).
    """

    pixels: torch.Tensor
    lesions: torch.Tensor
    is_lesion: torch.Tensor
    whole: torch.Tensor


class ViewMaker:
    """Makes the views of a training set. The first views of each batch show no lesion."""

    def __init__(self, data: TrainingSet, recipe: GpuRecipe, seed: int, mix_share: float) -> None:
        """Paint the marks that all batches share.

        Args:
            data: the photos.
            recipe: the ranges and frequencies of the changes.
            seed: seed of all views.
            mix_share: share of lesions mixed with another view, 0-1.
        """
        self.data = data
        self.recipe = recipe
        self.seed = seed
        self.mix_share = mix_share
        self._marks = Marks(data.device, recipe.views)
        axis = torch.linspace(-1, 1, WORKING_SIZE, device=data.device)
        radius = (axis[None, :] ** 2 + axis[:, None] ** 2).sqrt()
        # A soft disc like that of ``augmentation.graft``: 1 in the middle 70 % of the side.
        self._middle = torch.sigmoid((0.76 - radius) / 0.045).to(precision(data.device))

    def __call__(self, number: int, count: int, size: int, turn: int | None = None) -> Views:
        """Make the views of a batch.

        Args:
            number: number of the batch; another number gives other views.
            count: number of views.
            size: their side in pixels.
            turn: seed of additional quarter turns and reflections; None for none.
        """
        draws = Draws(self.seed, number, count, self.data.device)
        chosen = draws.weighted(self.data.weights)
        others = round(count * self.recipe.other_share)
        photos = self._put_others_first(self._graft(chosen, draws), others, draws)
        placement = _placement(draws, self.recipe)
        pixels = self._marks(_warp(photos, placement, size), draws)
        pixels = change_colours(pixels, draws, self.recipe.views)
        pixels = add_faults(pixels, draws, self.recipe.views)
        mixed = _mix(pixels, draws, others, self.mix_share)
        if turn is not None:  # Last, so that the marks and the mixed parts are turned too.
            _turn(pixels, Draws(turn, 0, count, self.data.device))
        is_lesion = (torch.arange(count, device=self.data.device) >= others).float()
        return Views(pixels, chosen, is_lesion, (~mixed).float())

    def _graft(self, chosen: torch.Tensor, draws: Draws) -> Photos:
        """The chosen lesions, some of them pasted into the surroundings of another photo."""
        lesions = self.data.lesions
        pixels = lesions.pixels[chosen].to(self._middle.dtype)
        rims = lesions.rims[chosen]
        grafted = true_indices(draws.chance(self.recipe.graft_share))
        hosts = draws.integers(len(lesions))[grafted]
        surroundings = lesions.pixels[hosts].to(pixels.dtype)
        pixels[grafted] = pixels[grafted] * self._middle + surroundings * (1 - self._middle)
        rims[grafted] = lesions.rims[hosts]
        return Photos(pixels, rims)

    def _put_others_first(self, photos: Photos, count: int, draws: Draws) -> Photos:
        drawn = draws.integers(len(self.data.others))[:count]
        photos.pixels[:count] = self.data.others.pixels[drawn].to(photos.pixels.dtype)
        photos.rims[:count] = self.data.others.rims[drawn]
        return photos


def _placement(draws: Draws, recipe: GpuRecipe) -> torch.Tensor:
    """Matrices from positions in a view to positions in its photo, -1 to 1: float32 (n, 2, 3)."""
    ranges = recipe.views
    angle = draws.uniform(-math.pi, math.pi)
    zoom = draws.logarithmic(*ranges.zoom)
    stretch = torch.exp(draws.uniform(-ranges.stretch, ranges.stretch))
    shear = draws.uniform(-ranges.shear, ranges.shear)
    mirror = torch.where(draws.chance(0.5), -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    columns = (
        torch.stack([cos, sin], 1) * (zoom * stretch * mirror)[:, None],
        torch.stack([cos * shear - sin, sin * shear + cos], 1) * (zoom / stretch)[:, None],
        draws.uniform(-ranges.shift, ranges.shift, 2),
    )
    return torch.stack(columns, 2)


def _warp(photos: Photos, placement: torch.Tensor, size: int) -> torch.Tensor:
    """Transform the photos; the area outside a photo gets the colour of its rim."""
    rims = photos.rims[:, :, None, None]
    grid = functional.affine_grid(placement, [len(rims), 3, size, size], align_corners=False)
    # In float32: at 500 px, coordinates in float16 are inaccurate by half a pixel.
    warped = functional.grid_sample(photos.pixels.float() - rims, grid, align_corners=False)
    return (warped + rims).to(photos.pixels.dtype)


def _turn(pixels: torch.Tensor, draws: Draws) -> None:
    """Turn each view by a random number of quarters, and mirror half of them, in place."""
    cases = draws.integers(8)
    for case in range(8):
        chosen = true_indices(cases == case)
        turned = torch.rot90(pixels[chosen], case % 4, (2, 3))
        pixels[chosen] = turned.flip(3) if case >= 4 else turned


def _mix(pixels: torch.Tensor, draws: Draws, others: int, mix_share: float) -> torch.Tensor:
    """Paste a rectangle of the next lesion's view into some views, in place.

    Returns:
        Which views are mixed, bool (n,).
    """
    count, size = len(pixels), pixels.shape[-1]
    index = torch.arange(count, device=pixels.device)
    mixed = draws.chance(mix_share) & (index >= others)
    chosen = true_indices(mixed)
    side = draws.uniform(0.2, 0.55)[chosen].sqrt()[:, None]  # The range is a share of the area.
    start = draws.uniform(0, 1, 2)[chosen] * (1 - side)
    axis = (torch.arange(size, device=pixels.device) + 0.5) / size
    inside = (axis >= start[..., None]) & (axis < (start + side)[..., None])
    box = inside[:, 0, :, None] & inside[:, 1, None, :]
    # The last lesion of the batch is mixed with the first.
    partner = torch.where(index + 1 < count, index + 1, others)[chosen]
    pixels[chosen] = torch.where(box[:, None], pixels[partner], pixels[chosen])
    return mixed
