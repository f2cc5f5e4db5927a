"""Draw random numbers on the device, independently of the size of the views."""

import math

import torch

_SEED_FACTOR = 1_000_003  # A prime, so that two runs rarely share a random stream.


class Draws:
    """Random numbers for ``count`` views.

    The number of values that a method draws depends only on ``count``. So a view that is made again
    at another size gets the same values and shows the same picture.
    """

    def __init__(self, seed: int, number: int, count: int, device: torch.device) -> None:
        """Start the random stream of one batch.

        Args:
            seed: seed of the run.
            number: number of the batch.
            count: number of views in the batch.
            device: where the numbers are drawn; a CPU and a GPU draw different ones.
        """
        self.count = count
        self.device = device
        self._generator = torch.Generator(device).manual_seed(seed * _SEED_FACTOR + number)

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        """Uniformly distributed, float32 (count, *shape)."""
        drawn = torch.rand((self.count, *shape), generator=self._generator, device=self.device)
        return low + (high - low) * drawn

    def logarithmic(self, low: float, high: float) -> torch.Tensor:
        """Uniformly distributed on a logarithmic scale, float32 (count,)."""
        return torch.exp(self.uniform(math.log(low), math.log(high)))

    def chance(self, share: float) -> torch.Tensor:
        """True with this probability, bool (count,)."""
        return self.uniform(0, 1) < share

    def integers(self, end: int) -> torch.Tensor:
        """From 0 to below ``end``, int64 (count,)."""
        return torch.randint(end, (self.count,), generator=self._generator, device=self.device)

    def weighted(self, cumulative: torch.Tensor) -> torch.Tensor:
        """Indices drawn by weights, given as cumulative sums in float64; int64 (count,)."""
        drawn = torch.rand(
            self.count, generator=self._generator, device=self.device, dtype=torch.float64
        )
        return torch.searchsorted(cumulative, drawn * cumulative[-1]).clamp_(
            max=len(cumulative) - 1
        )

    def noise(self, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
        """Standard normal values of any shape.

        They come from a separate generator, because their number depends on the size of the views.
        With the common generator, all later values would depend on that size too.
        """
        seed = torch.randint(2**31, (1,), generator=self._generator, device=self.device)
        separate = torch.Generator(self.device).manual_seed(int(seed))
        return torch.randn(shape, generator=separate, device=self.device, dtype=dtype)


def true_indices(chosen: torch.Tensor) -> torch.Tensor:
    """Indices of the true values, int64 (m,)."""
    return chosen.nonzero().squeeze(1)
