"""What teacher and pupil share: steps until the time is over, losses, averaged weights."""

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

_WARM_UP = 0.05  # Of the time; then a cosine to zero.
_LONGEST_GRADIENT = 2.0
_CHECK_EVERY = 20  # Steps; reading the loss waits for the GPU.

# Losses beside that of malignant (1), in teachers and pupil.
LESION_LOSS, KIND_LOSS = 0.4, 0.3

Network = TypeVar("Network", bound=nn.Module)


def steps(name: str, seconds: float, batch: int) -> Iterator[tuple[int, float]]:
    """Number of each step, and the share of the time that is over when it begins.

    Shows a bar, and prints the number of views at the end. There is at least one step.
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
    """A network in training, and the running average of its weights.

    Attributes:
        network: what is trained.
        average: the same network with averaged weights, ready to judge.
    """

    def __init__(self, network: Network, rate: float, weight_decay: float, average: float) -> None:
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

    def step(self, loss: torch.Tensor, done: float) -> None:
        """Take a step down the loss, when the share ``done`` of the time is over.

        Raises:
            TrainingError: the loss is not a number.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * _schedule(done)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), _LONGEST_GRADIENT)
        self._optimizer.step()
        self._average_weights()
        if self._steps % _CHECK_EVERY == 0 and not math.isfinite(float(loss)):
            raise TrainingError(f"the loss is no number any more (step {self._steps})")

    @torch.no_grad()
    def _average_weights(self) -> None:
        self._steps += 1
        # Young averages forget their random start sooner (the warm-up of TensorFlow's EMA).
        momentum = min(self._momentum, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._averages, self._values, 1 - momentum)


def to_device(network: Network, device: torch.device) -> Network:
    """The network on a device, its weights channels last on a GPU."""
    if device.type == "cuda":
        return network.to(device=device, memory_format=torch.channels_last)  # type: ignore
    return network.to(device)


def judge(network: nn.Module, pixels: torch.Tensor) -> Outputs:
    """What the network says of pixels (n, 3, side, side); in bfloat16 on a GPU."""
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=pixels.is_cuda):
        return network(pixels)


def cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Mean binary cross-entropy, weighted; all three are (n,)."""
    return weighted_mean(
        functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none"),
        weights,
    )


def weighted_mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Of (n,) values; 0 where all weights are."""
    return (values * weights).sum() / weights.sum().clamp(min=1)


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    """Weights and statistics, which later steps change in place."""
    return [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]


def _schedule(done: float) -> float:
    if done < _WARM_UP:
        # The first step of all is no rest.
        return max(done, 1e-3) / _WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP)))
