"""Train the student, cnn7, on the bank's views, to predict the teachers' outputs and the labels."""

import numpy as np
import torch
from torch.nn import functional

from training.gpu.bank import Bank, bank_views
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
from training.gpu.networks import Cnn7
from training.gpu.photos import TrainingSet
from training.gpu.recipe import GpuRecipe, StudentRecipe
from training.gpu.views import Views

# Weights of the losses. A network can only memorise the label of a hard photo; the teachers' output
# shows how hard it is.
_TEACHERS_LOSS, _LABEL_LOSS = 1.5, 0.4
_DIAGNOSIS_LOSS = 0.7
_EMBEDDING_LOSS = 1.0


def train_student(
    recipe: GpuRecipe, bank: Bank, data: TrainingSet, seconds: float, seed: int
) -> Cnn7:
    """Train for ``seconds`` seconds; return the network with averaged weights.

    Raises:
        TrainingError: the loss is no longer finite.
    """
    student = recipe.student
    torch.manual_seed(seed)
    network = to_device(Cnn7(bank.embedding.shape[-1]), data.device)
    fitter = Fitter(network, student.rate, student.weight_decay, student.average)
    make_views = bank_views(recipe, data, seed)
    rng = np.random.default_rng(seed)
    order: list[int] = []
    for step, elapsed in steps("cnn7", seconds, recipe.bank.batch):
        order = order or rng.permutation(len(bank)).tolist()
        number = order.pop()
        views = make_views(number, recipe.bank.batch, size_at(student, elapsed), turn=step)
        fitter.step(_loss(network, views, bank, number, data), elapsed)
    return fitter.result()


def size_at(student: StudentRecipe, elapsed: float) -> int:
    """Side of the views in pixels, when the share ``elapsed`` of the time has elapsed."""
    return next((size for size, end in student.sizes if elapsed < end), student.sizes[-1][0])


def _loss(network: Cnn7, views: Views, bank: Bank, number: int, data: TrainingSet) -> torch.Tensor:
    outputs = predict(network, views.pixels)
    shows_lesion = views.is_lesion
    # A view that mixes two lesions has no label, only the teachers' prediction.
    whole = shows_lesion * views.whole
    diagnosis = functional.kl_div(
        functional.log_softmax(outputs.diagnosis.float(), 1),
        functional.log_softmax(bank.diagnosis[number].float(), 1),
        reduction="none",
        log_target=True,
    )
    predicted = network.taught(outputs.embedding).float()
    distance = 1 - functional.cosine_similarity(predicted, bank.embedding[number].float())
    teachers_probability = torch.sigmoid(bank.malignant[number].float())
    return (
        _TEACHERS_LOSS * cross_entropy(outputs.malignant, teachers_probability, shows_lesion)
        + _LABEL_LOSS * cross_entropy(outputs.malignant, data.malignant[views.lesions], whole)
        + LESION_LOSS * cross_entropy(outputs.lesion, shows_lesion, torch.ones_like(shows_lesion))
        + KIND_LOSS * cross_entropy(outputs.clinical, data.clinical[views.lesions], whole)
        + _DIAGNOSIS_LOSS * weighted_mean(diagnosis.sum(1), shows_lesion)
        + _EMBEDDING_LOSS * weighted_mean(distance, shows_lesion)
    )
