"""Shared by teacher and student: training steps for a given time, losses, and averaged weights."""

import copy
import math
import time
from collections.abc import Iterator
from typing import Generic, TypeVar

import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from training.fit.callbacks import TrainingError
from training.gpu.networks import Outputs

_WARM_UP_SHARE = 0.05  # Share of the time; then the learning rate follows a cosine to zero.
_MAX_GRADIENT_NORM = 2.0
_CHECK_INTERVAL_STEPS = 20  # Not in every step: reading the loss waits for the GPU.

# Weights of these two losses, the same for the teachers and the student.
LESION_LOSS, KIND_LOSS = 0.4, 0.3

Network = TypeVar("Network", bound=nn.Module)


def steps(name: str, seconds: float, batch: int) -> Iterator[tuple[int, float]]:
    """Yield the number of each step, from 0, and the share of the time elapsed before it, 0-1.

    There is at least one step. A progress bar is shown, and the number of views is printed at the
    end.

    Args:
        name: the name of the phase, for the progress bar.
        seconds: no step begins after this time.
        batch: number of views per step.
    """
    began, step, passed = time.perf_counter(), 0, 0.0
    shown = "{l_bar}{bar}| {elapsed}<{remaining}{postfix}"
    with tqdm(total=seconds, desc=name, bar_format=shown) as bar:
        while step == 0 or passed < seconds:
            yield step, min(1.0, passed / seconds)
            step += 1
            passed = time.perf_counter() - began
            bar.set_postfix_str(f"{step * batch / passed:,.0f} views/s", refresh=False)
            bar.update(min(passed, seconds) - bar.n)
    views = step * batch
    print(f"{name}: {views:,} views in {passed:.0f} s ({views / passed:,.0f}/s)", flush=True)


class Fitter(Generic[Network]):
    """Trains a network and keeps the moving average of its weights.

    Attributes:
        network: the network in training.
        average: the same network with averaged weights, in evaluation mode.
    """

    def __init__(self, network: Network, rate: float, weight_decay: float, average: float) -> None:
        """Create the optimizer, AdamW.

        Args:
            network: the network to train, on its device.
            rate: peak learning rate.
            weight_decay: decoupled weight decay of kernels; none for biases and normalisations.
            average: momentum of the moving average of the weights, 0-1.
        """
        self.network = network.train()
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self._rate = rate
        self._momentum = average
        self._steps = 0
        parameters = list(network.parameters())
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        on_gpu = parameters[0].is_cuda
        self._averages, self._values = _tensors(self.average), _tensors(self.network)
        self._optimizer = torch.optim.AdamW(groups, lr=rate, fused=on_gpu)

    def step(self, loss: torch.Tensor, elapsed: float) -> None:
        """Take a training step.

        Args:
            loss: the loss of the batch, a scalar.
            elapsed: share of the time that has elapsed, 0-1; it determines the learning rate.

        Raises:
            TrainingError: the loss is not finite; this is checked every 20 steps.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * _schedule(elapsed)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), _MAX_GRADIENT_NORM)
        self._optimizer.step()
        self._average_weights()
        if self._steps % _CHECK_INTERVAL_STEPS == 0 and not math.isfinite(float(loss)):
            raise TrainingError(f"the loss is no longer finite (step {self._steps})")

    def result(self) -> Network:
        """The network with the averaged weights.

        Raises:
            TrainingError: a weight is not finite.
        """
        if not all(bool(values.isfinite().all()) for values in self._averages):
            raise TrainingError(f"the weights are no longer finite (step {self._steps})")
        return self.average

    @torch.no_grad()
    def _average_weights(self) -> None:
        self._steps += 1
        # A lower momentum in the first steps forgets the random initial weights sooner.
        momentum = min(self._momentum, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._averages, self._values, 1 - momentum)


def to_device(network: Network, device: torch.device) -> Network:
    """Move the network to a device; on a GPU, store its weights channels last."""
    network = network.to(device)
    if device.type == "cuda":
        for weight in network.parameters():
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return network


def predict(network: nn.Module, pixels: torch.Tensor) -> Outputs:
    """The network's outputs for pixels (n, 3, side, side), computed in bfloat16 on a GPU."""
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=pixels.is_cuda):
        return network(pixels)


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Weighted mean of the binary cross-entropy; all arguments are (n,)."""
    return weighted_mean(
        functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none"),
        weights,
    )


def weighted_mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean of (n,) values; 0 if all weights are 0."""
    return (values * weights).sum() / weights.sum().clamp(min=1)


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    """The weights and batch statistics themselves, which training changes in place."""
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


def _schedule(elapsed: float) -> float:
    """The learning rate as a share of its peak."""
    if elapsed < _WARM_UP_SHARE:
        return max(elapsed, 1e-3) / _WARM_UP_SHARE  # Not zero in the first step.
    return 0.5 * (1 + math.cos(math.pi * (elapsed - _WARM_UP_SHARE) / (1 - _WARM_UP_SHARE)))
