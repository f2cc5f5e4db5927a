"""What a network says of the validation photos, and the AUC of that."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from tqdm import tqdm

from training.fit.auc import auc_by_part
from training.gpu.fitter import judge
from training.gpu.photos import ValidationSet, precision

_BATCH = 256


@torch.no_grad()
def logits(network: nn.Module, validation: ValidationSet, views: int = 8) -> np.ndarray:
    """Mean logit of malignant over some flips and quarter turns: float32 (n,)."""
    network.eval()
    pixels = validation.pixels
    batch = min(_BATCH, len(pixels))
    found = []
    for start in tqdm(range(0, len(pixels), batch), "validation", unit="batch"):
        part = pixels[start : start + batch]
        # A batch of another size costs a GPU seconds, for it chooses its kernels anew.
        filled = torch.cat([part, pixels[: batch - len(part)]]).to(precision(pixels.device))
        said = [judge(network, _turned(filled, view)).malignant.float() for view in range(views)]
        found.append(torch.stack(said).mean(0)[: len(part)])
    return torch.cat(found).cpu().numpy()


def describe(name: str, said: np.ndarray, validation: ValidationSet) -> str:
    """One line: the AUC over all photos, by kind and by source."""
    labels = [row.malignant for row in validation.rows]
    every = roc_auc_score(labels, said)
    parts = " ".join(
        f"{part} {auc:.3f}" for part, auc in auc_by_part(validation.rows, said).items()
    )
    return f"{name}: validation AUC {every:.4f} ({parts})"


def _turned(pixels: torch.Tensor, view: int) -> torch.Tensor:
    turned = torch.rot90(pixels, view % 4, (2, 3))
    return turned.flip(3) if view >= 4 else turned
