"""The PyTorch contender of ``bench.train``: cnn7 and its training step."""

import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from bench.report import Speed
from training.fit.recipes import DEFAULT
from training.gpu.networks import CNN7_WIDTHS, Convolution, Excite, Heads, norm

WARM_UP_STEPS = 3


def bare_step(_size: int, path: Path, seconds: float) -> Speed:
    """Repeat the step on one batch; report the faster of the precisions that Keras chooses from."""
    with np.load(path) as file:
        batch = dict(file)
    torch.set_num_threads(os.cpu_count() or 1)
    rates = {"float32": _rate(Step(batch, bfloat16=False), seconds)}
    if batch["bfloat16"]:
        rates["bfloat16"] = _rate(Step(batch, bfloat16=True), seconds)
    fastest = max(rates, key=lambda name: rates[name])
    return {"images_per_s": rates[fastest], "precision": fastest, "every_precision": rates}


def _rate(step: "Step", seconds: float) -> float:
    for _ in range(WARM_UP_STEPS):
        step()
    steps, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        step()
        steps += 1
    return steps * len(step.pixels) / passed


class Step:
    """A training step of the default recipe, always on the same batch."""

    def __init__(self, batch: dict[str, np.ndarray], *, bfloat16: bool) -> None:
        # Shape (n, 3, side, side), stored channels last, which is fastest on a CPU.
        self.pixels = torch.tensor(batch["pixels"]).permute(0, 3, 1, 2)
        self.targets = _with_prefix("target_", batch)
        self.weights = _with_prefix("weight_", batch)
        self.bfloat16 = bfloat16
        self.model = Cnn7().train().to(memory_format=torch.channels_last)
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
        return float(loss.item())

    def _loss(self, name: str, output: torch.Tensor) -> torch.Tensor:
        target, smoothing = self.targets[name], DEFAULT.label_smoothing
        if name == "diagnosis":
            losses = functional.cross_entropy(
                output, target, reduction="none", label_smoothing=smoothing
            )
        else:
            target = target[:, 0]
            if name == "malignant":
                target = target * (1 - smoothing) + smoothing / 2
            losses = functional.binary_cross_entropy_with_logits(output, target, reduction="none")
        return (losses * self.weights[name]).mean()


class Cnn7(nn.Module):
    """``training.networks.cnn7``, from pixels 0-255 (n, 3, side, side) to logits.

    Unlike the one in ``training.gpu``, it has batch normalisation only where the Keras network
    does.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = (3, *CNN7_WIDTHS)
        self.convolutions = nn.ModuleList(
            Convolution(before, after, *((5, 2) if index == 0 else (3, 1)), bias=True)
            for index, (before, after) in enumerate(zip(channels, CNN7_WIDTHS, strict=False))
        )
        self.norms = nn.ModuleList(norm(width) for width in (64, 128, 256, 256, 768))
        self.excite = nn.ModuleList([Excite(128), Excite(256)])
        self.heads = Heads(CNN7_WIDTHS[-1])

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        x = functional.avg_pool2d(pixels / 127.5 - 1, 2)
        x = functional.max_pool2d(self._convolve(0, x), 2)
        x = self.norms[0](functional.max_pool2d(self._convolve(1, x), 2))
        x = self._convolve(3, self._convolve(2, x))
        x = self.excite[0](self.norms[1](functional.max_pool2d(x, 2)))
        x = self.norms[2](self._convolve(4, x))
        x = functional.max_pool2d(x + self._convolve(5, x), 2)
        x = self.norms[4](self._convolve(6, self.excite[1](self.norms[3](x))))
        outputs = self.heads(x)
        return {
            "malignant": outputs.malignant,
            "lesion": outputs.lesion,
            "kind": outputs.clinical,
            "diagnosis": outputs.diagnosis,
        }

    def _convolve(self, index: int, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.convolutions[index](x))


def _with_prefix(prefix: str, batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): torch.tensor(value)
        for name, value in batch.items()
        if name.startswith(prefix)
    }
