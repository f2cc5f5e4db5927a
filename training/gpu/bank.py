"""A bank of views that the teachers have judged once.

Only what they say is kept, 280 bytes a view. The views are made again from their numbers, and on
the same kind of device alone: a CPU's random numbers are not a GPU's.
"""

from dataclasses import dataclass

import torch

from training.gpu.fitter import judge, steps
from training.gpu.networks import EfficientNetLite, Outputs
from training.gpu.photos import TrainingSet, precision
from training.gpu.recipe import WORKING_SIZE, GpuRecipe
from training.gpu.views import ViewMaker

COMPONENTS = 128
"""Principal components of the first teacher's embedding that are learned."""

_SAMPLE = 2048  # Photos for these components: sixteen for each.
_AT_ONCE = 256


@dataclass(frozen=True)
class Bank:
    """What the teachers say of b batches of n views: the mean of their logits, float16.

    Attributes:
        malignant: (b, n).
        diagnosis: (b, n, 8).
        embedding: of the first teacher, its principal components: (b, n, components).
    """

    malignant: torch.Tensor
    diagnosis: torch.Tensor
    embedding: torch.Tensor

    def __len__(self) -> int:
        return len(self.malignant)


def bank_views(recipe: GpuRecipe, data: TrainingSet, seed: int) -> ViewMaker:
    """What makes the bank's views, for the teachers and again for the pupil."""
    # Other views than those that the teachers have learned from.
    return ViewMaker(data, recipe, seed + 77, recipe.bank.mix_share)


@torch.no_grad()
def fill_bank(
    teachers: list[EfficientNetLite],
    recipe: GpuRecipe,
    data: TrainingSet,
    seconds: float,
    seed: int,
) -> Bank:
    """Have the teachers judge views for some time."""
    make = bank_views(recipe, data, seed)
    mean, axes = _principal_components(teachers[0], data, seed)
    kept = []
    for number, _ in steps("bank", seconds, recipe.bank.batch):
        views = make(number, recipe.bank.batch, WORKING_SIZE)
        outputs = [judge(teacher, views.pixels) for teacher in teachers]
        embedding = (outputs[0].embedding.float() - mean) @ axes
        kept.append((_mean(outputs, 0), _mean(outputs, 3), embedding.half()))
    malignant, diagnosis, embedding = (torch.stack(one) for one in zip(*kept, strict=True))
    return Bank(malignant, diagnosis, embedding)


def _mean(outputs: list[Outputs], place: int) -> torch.Tensor:
    return torch.stack([one[place].float() for one in outputs]).mean(0).half()


def _principal_components(
    teacher: EfficientNetLite, data: TrainingSet, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (1280,) and axes (1280, components) of the embeddings of some training photos."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.lesions), generator=generator)[:_SAMPLE]
    embeddings = [
        judge(teacher, data.lesions.pixels[part].to(precision(data.device))).embedding.float()
        for part in order.to(data.device).split(_AT_ONCE)
    ]
    every = torch.cat(embeddings)
    mean = every.mean(0)
    _, _, axes = torch.linalg.svd(every - mean, full_matrices=False)
    return mean, axes[:COMPONENTS].T
