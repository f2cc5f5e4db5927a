"""The bank: the teachers' predictions for a set of views.

It contains only the predictions, 280 bytes per view. The views themselves are made again from the
seed and the number of their batch. This works only on the same kind of device, because a CPU and a
GPU draw different random numbers.
"""

from dataclasses import dataclass

import torch

from training.gpu.fitter import predict, steps
from training.gpu.networks import EfficientNetLite
from training.gpu.photos import TrainingSet, precision
from training.gpu.recipe import WORKING_SIZE, GpuRecipe
from training.gpu.views import ViewMaker

COMPONENTS = 128
"""Number of principal components of the first teacher's embedding that are learned."""

_PCA_PHOTOS = 2048  # Photos to compute the components from: sixteen for each.
_BATCH = 256


@dataclass(frozen=True)
class Bank:
    """The teachers' predictions for b batches of n views, float16.

    Attributes:
        malignant: mean logits of the teachers (b, n).
        diagnosis: mean logits of the teachers (b, n, 8).
        embedding: principal components of the first teacher's embedding (b, n, components).
    """

    malignant: torch.Tensor
    diagnosis: torch.Tensor
    embedding: torch.Tensor

    def __len__(self) -> int:
        return len(self.malignant)


def bank_views(recipe: GpuRecipe, data: TrainingSet, seed: int) -> ViewMaker:
    """The maker of the bank's views, which are the same for the teachers and the student."""
    # Another seed, so that they differ from the views that the teachers were trained on.
    return ViewMaker(data, recipe, seed + 77, recipe.bank.mix_share)


@torch.no_grad()
def fill_bank(
    teachers: list[EfficientNetLite],
    recipe: GpuRecipe,
    data: TrainingSet,
    seconds: float,
    seed: int,
) -> Bank:
    """Let the teachers predict views for ``seconds`` seconds."""
    make_views = bank_views(recipe, data, seed)
    mean, axes = _principal_components(teachers[0], data, seed)
    batches = []
    for number, _ in steps("bank", seconds, recipe.bank.batch):
        views = make_views(number, recipe.bank.batch, WORKING_SIZE)
        outputs = [predict(teacher, views.pixels) for teacher in teachers]
        embedding = (outputs[0].embedding.float() - mean) @ axes
        malignant = _mean([one.malignant for one in outputs])
        batches.append((malignant, _mean([one.diagnosis for one in outputs]), embedding.half()))
    return Bank(*(torch.stack(tensors) for tensors in zip(*batches, strict=True)))


def _mean(logits: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([one.float() for one in logits]).mean(0).half()


def _principal_components(
    teacher: EfficientNetLite, data: TrainingSet, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (1280,) and axes (1280, components) of the embeddings of some training photos."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(data.lesions), generator=generator)[:_PCA_PHOTOS]
    pixels = data.lesions.pixels
    embeddings = torch.cat(
        [
            predict(teacher, pixels[batch].to(precision(data.device))).embedding.float()
            for batch in chosen.to(data.device).split(_BATCH)
        ]
    )
    mean = embeddings.mean(0)
    _, _, axes = torch.linalg.svd(embeddings - mean, full_matrices=False)
    return mean, axes[:COMPONENTS].T
