"""Predict the validation photos, and report the AUC."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from tqdm import tqdm

from training.fit.auc import auc_by_part
from training.gpu.fitter import predict
from training.gpu.photos import ValidationSet, precision

_BATCH = 256


@torch.no_grad()
def mean_logits(network: nn.Module, validation: ValidationSet, views: int = 8) -> np.ndarray:
    """Mean logit of malignant over up to eight rotations and flips of each photo: float32 (n,)."""
    network.eval()
    pixels = validation.pixels
    batch = min(_BATCH, len(pixels))
    means = []
    for start in tqdm(range(0, len(pixels), batch), "validation", unit="batch"):
        part = pixels[start : start + batch]
        # Fill up the last batch: a GPU spends seconds choosing kernels for each new batch size.
        filled = torch.cat([part, pixels[: batch - len(part)]]).to(precision(pixels.device))
        outputs = [predict(network, _rotated(filled, view)).malignant for view in range(views)]
        means.append(torch.stack([one.float() for one in outputs]).mean(0)[: len(part)])
    return torch.cat(means).cpu().numpy()


def describe_auc(name: str, logits: np.ndarray, validation: ValidationSet) -> str:
    """One line with the AUC over all photos, by kind and by source."""
    labels = [row.malignant for row in validation.rows]
    parts = " ".join(
        f"{part} {auc:.3f}" for part, auc in auc_by_part(validation.rows, logits).items()
    )
    return f"{name}: validation AUC {roc_auc_score(labels, logits):.4f} ({parts})"


def _rotated(pixels: torch.Tensor, view: int) -> torch.Tensor:
    rotated = torch.rot90(pixels, view % 4, (2, 3))
    return rotated.flip(3) if view >= 4 else rotated
