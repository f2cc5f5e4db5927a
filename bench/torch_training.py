"""The contender of ``bench.train`` on PyTorch: cnn7 and its step, as PyTorch users write them.

Nothing here loads Keras.
"""

import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.fit.recipes import DEFAULT

WARM_UP = 3


def bare_step(size: int, path: Path, seconds: float) -> dict[str, Any]:
    """The step on one batch that is ready; the faster of the precisions that we choose from."""
    with np.load(path) as file:
        batch = dict(file)
    torch.set_num_threads(os.cpu_count() or 1)
    rates = {"float32": _rate(Step(batch, bfloat16=False), seconds)}
    if batch["bfloat16"]:
        rates["bfloat16"] = _rate(Step(batch, bfloat16=True), seconds)
    fastest = max(rates, key=lambda name: rates[name])
    return {"images_per_s": rates[fastest], "precision": fastest, "every_precision": rates}


def _rate(step: "Step", seconds: float) -> float:
    for _ in range(WARM_UP):
        step()
    steps, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        step()
        steps += 1
    return steps * len(step.pixels) / passed


class Step:
    """A training step of the default recipe, on the same batch again and again."""

    def __init__(self, batch: dict[str, np.ndarray], *, bfloat16: bool) -> None:
        # (n, 3, side, side) that lies channels last, as its convolutions on a CPU ask for.
        self.pixels = torch.tensor(batch["pixels"]).permute(0, 3, 1, 2)
        self.targets = _named("target_", batch)
        self.weights = _named("weight_", batch)
        self.bfloat16 = bfloat16
        self.model = Cnn7(self.targets["diagnosis"].shape[1]).train()
        self.model = self.model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), DEFAULT.rates["adam"], weight_decay=DEFAULT.weight_decay
        )

    def __call__(self) -> float:
        """Take one step; return its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            outputs = self.model(self.pixels.float())
        losses = [
            DEFAULT.loss_weights[name] * self._loss(name, output.float())
            for name, output in outputs.items()
        ]
        loss = torch.stack(losses).sum()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def _loss(self, name: str, output: torch.Tensor) -> torch.Tensor:
        target, smooth = self.targets[name], DEFAULT.label_smoothing
        if name == "diagnosis":
            each = functional.cross_entropy(
                output, target, reduction="none", label_smoothing=smooth
            )
        else:
            if name == "malignant":
                target = target * (1 - smooth) + smooth / 2
            each = functional.binary_cross_entropy_with_logits(output, target, reduction="none")
        return (each.reshape(len(each)) * self.weights[name]).mean()


class Cnn7(nn.Module):
    """``training.networks.cnn7``: pixels 0-255 (n, 3, side, side) to the logits of its outputs."""

    def __init__(self, diagnoses: int) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 128, 256, 256, 768)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 5, 2)
            if place == 0
            else nn.Conv2d(before, after, 3, padding="same")
            for place, (before, after) in enumerate(pairwise(widths))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(n, 1e-3, 0.01) for n in (64, 128, 256, 256, 768))
        self.excite = nn.ModuleList([Excite(128), Excite(256)])
        self.clinical_map = nn.Linear(768, 1)
        self.dermoscopic_map = nn.Linear(768, 1)
        self.lesion = nn.Linear(768, 1)
        self.kind = nn.Linear(768, 1)
        self.diagnosis = nn.Linear(768, diagnoses)
        self.drop = nn.Dropout2d(0.3)

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        x = functional.avg_pool2d(pixels / 127.5 - 1, 2)
        x = functional.pad(x, _same(x.shape[3], 5, 2) + _same(x.shape[2], 5, 2))
        x = functional.max_pool2d(self._convolve(0, x), 2)
        x = self.norms[0](functional.max_pool2d(self._convolve(1, x), 2))
        x = self._convolve(3, self._convolve(2, x))
        x = self.excite[0](self.norms[1](functional.max_pool2d(x, 2)))
        x = self.norms[2](self._convolve(4, x))
        x = functional.max_pool2d(x + self._convolve(5, x), 2)
        x = self.excite[1](self.norms[3](x))
        x = self.norms[4](self._convolve(6, x))
        embedding = x.mean((2, 3))
        kept = self.drop(x).permute(0, 2, 3, 1)
        kind = self.kind(embedding)
        clinical, dermoscopic = self.clinical_map(kept), self.dermoscopic_map(kept)
        heat_map = dermoscopic + (clinical - dermoscopic) * torch.sigmoid(kind)[:, :, None, None]
        return {
            "malignant": heat_map.mean((1, 2)),
            "lesion": self.lesion(embedding),
            "kind": kind,
            "diagnosis": self.diagnosis(embedding),
        }

    def _convolve(self, index: int, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.convolutions[index](x))


class Excite(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(channels, channels // 4)
        self.wide = nn.Linear(channels // 4, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate = self.wide(functional.relu(self.narrow(x.mean((2, 3)))))
        return x * torch.sigmoid(gate)[:, :, None, None]


def _same(side: int, kernel: int, stride: int) -> list[int]:
    """Padding before and after, of Keras's "same", which PyTorch has at stride 1 alone."""
    missing = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    return [missing // 2, missing - missing // 2]


def _named(prefix: str, batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): torch.tensor(value)
        for name, value in batch.items()
        if name.startswith(prefix)
    }
