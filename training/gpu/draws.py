"""Random numbers on the device, the same for the same seed whatever is drawn at what size."""

import math

import torch

_MIXER = 1_000_003  # A prime, so that seeds of two runs seldom give the same stream.


class Draws:
    """Draws for ``count`` views.

    Every method draws a number of values that depends on ``count`` alone. A view made again at
    another size therefore gets the same values, and shows the same picture.
    """

    def __init__(self, seed: int, number: int, count: int, device: torch.device) -> None:
        self.count = count
        self.device = device
        self._generator = torch.Generator(device).manual_seed(seed * _MIXER + number)

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        """Evenly drawn, float32 (count, *shape)."""
        drawn = torch.rand((self.count, *shape), generator=self._generator, device=self.device)
        return low + (high - low) * drawn

    def logarithmic(self, low: float, high: float) -> torch.Tensor:
        """Drawn evenly on a logarithmic scale, float32 (count,)."""
        return torch.exp(self.uniform(math.log(low), math.log(high)))

    def chance(self, share: float) -> torch.Tensor:
        """True with this probability, bool (count,)."""
        return self.uniform(0, 1) < share

    def integers(self, end: int) -> torch.Tensor:
        """From 0 to below ``end``, int64 (count,)."""
        return torch.randint(end, (self.count,), generator=self._generator, device=self.device)

    def weighted(self, cumulative: torch.Tensor) -> torch.Tensor:
        """Indices drawn by weights of which ``cumulative`` has the float64 sums; int64 (count,)."""
        drawn = torch.rand(
            self.count, generator=self._generator, device=self.device, dtype=torch.float64
        )
        return torch.searchsorted(cumulative, drawn * cumulative[-1]).clamp_(
            max=len(cumulative) - 1
        )

    def noise(self, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
        """Standard normal values of any shape, from a generator of their own.

        How many they are depends on the size of the views; drawn from the common generator, they
        would change every later draw.
        """
        seed = torch.randint(2**31, (1,), generator=self._generator, device=self.device)
        own = torch.Generator(self.device).manual_seed(int(seed))
        return torch.randn(shape, generator=own, device=self.device, dtype=dtype)


def places(chosen: torch.Tensor) -> torch.Tensor:
    """Indices of the true values, int64 (m,)."""
    return chosen.nonzero().squeeze(1)
