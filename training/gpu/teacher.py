"""Train a teacher, an EfficientNet with ImageNet weights, on the labels."""

import torch
from torch.nn import functional

from training.gpu.fitter import (
    KIND_LOSS,
    LESION_LOSS,
    Fitter,
    cross_entropy,
    predict,
    steps,
    to_device,
    weighted_mean,
)
from training.gpu.networks import EfficientNetLite, Outputs, with_imagenet_weights
from training.gpu.photos import TrainingSet
from training.gpu.recipe import WORKING_SIZE, GpuRecipe, TeacherRecipe
from training.gpu.views import ViewMaker, Views

_DIAGNOSIS_LOSS = 0.5


def train_teacher(
    teacher: TeacherRecipe, recipe: GpuRecipe, data: TrainingSet, seconds: float, seed: int
) -> EfficientNetLite:
    """Train for ``seconds`` seconds; return the network with averaged weights.

    Raises:
        MissingWeights: the package with the ImageNet weights is not installed.
        TrainingError: the loss is no longer finite.
    """
    torch.manual_seed(seed)
    network = to_device(with_imagenet_weights(teacher.version, teacher.drop_path), data.device)
    fitter = Fitter(network, teacher.rate, teacher.weight_decay, teacher.average)
    make_views = ViewMaker(data, recipe, seed, mix_share=0.0)
    for step, elapsed in steps(f"EfficientNet-Lite{teacher.version}", seconds, teacher.batch):
        views = make_views(step, teacher.batch, WORKING_SIZE)
        loss = _loss(predict(network, views.pixels), views, data, teacher.label_smoothing)
        fitter.step(loss, elapsed)
    return fitter.result()


def _loss(outputs: Outputs, views: Views, data: TrainingSet, smoothing: float) -> torch.Tensor:
    shows_lesion = views.is_lesion
    malignant = data.malignant[views.lesions] * (1 - smoothing) + smoothing / 2
    diagnosis = data.diagnosis[views.lesions]
    diagnosis_loss = functional.cross_entropy(
        outputs.diagnosis.float(),
        diagnosis.clamp(min=0),
        reduction="none",
        label_smoothing=smoothing,
    )
    return (
        cross_entropy(outputs.malignant, malignant, shows_lesion)
        + LESION_LOSS * cross_entropy(outputs.lesion, shows_lesion, torch.ones_like(shows_lesion))
        + KIND_LOSS * cross_entropy(outputs.clinical, data.clinical[views.lesions], shows_lesion)
        + _DIAGNOSIS_LOSS * weighted_mean(diagnosis_loss, shows_lesion * (diagnosis >= 0))
    )
