"""How many bits an 8-bit pixel takes, given what was expected of it."""

import torch
from torch import Tensor, nn

__all__ = ["PixelCode"]

# Widths of the logistic distributions, in grey levels; what they weigh depends on how bright the expectation is.
_WIDTHS = (0.3, 1.5, 6.0, 24.0, 96.0)
# Bins by the expectation's log odds, -10 to 5: most expectations are near black, and their odds tell them apart.
_LOWEST, _BINS = -10.0, 16
_LEVELS = 255.0
_ROUNDS = 12


class PixelCode(nn.Module):
    """A mixture of logistic distributions over the 256 levels, around the expectation (Salimans et al., PixelCNN++, 2017).

    A Gaussian of one width says too little about 8-bit pictures to be held against PNG: most pixels of a digit are exactly
    black. `weights` (BINS, WIDTHS) are fitted to held-out pictures.
    """

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.full((_BINS, len(_WIDTHS)), 1 / len(_WIDTHS)))

    def _parts(self, pixels: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
        """Probability (..., WIDTHS) of each pixel under each width, and the bin (...) of its expectation."""
        levels = (pixels.clamp(0, 1) * _LEVELS).round()[..., None]
        middle = (expected * _LEVELS)[..., None]
        widths = torch.tensor(_WIDTHS)
        # All that lies beyond black or white counts as black or white.
        upper = torch.where(levels >= _LEVELS, torch.inf, (levels + 0.5 - middle) / widths)
        lower = torch.where(levels <= 0, -torch.inf, (levels - 0.5 - middle) / widths)
        # On the side where both are small: the difference of two numbers near 1 is lost to rounding.
        flip = (lower > 0) & torch.isfinite(lower)
        high = torch.where(flip, torch.sigmoid(-lower), torch.sigmoid(upper))
        low = torch.where(flip, torch.sigmoid(-upper), torch.sigmoid(lower))
        bins = (expected.logit(1e-6) - _LOWEST).round().long().clamp(0, _BINS - 1)
        return high - low, bins

    def forward(self, pixels: Tensor, expected: Tensor) -> Tensor:
        """Bits of `pixels` (B, P) in [0, 1], rounded to 8 bits, given `expected` (B, P): (B,)."""
        parts, bins = self._parts(pixels, expected)
        return -(parts * self.weights[bins]).sum(2).clamp(min=1e-12).log2().sum(1)

    def fit(self, pixels: Tensor, expected: Tensor) -> None:
        """Fit the weights to `pixels` (B, P) by expectation maximisation, a little drawn to equal ones."""
        parts, bins = self._parts(pixels, expected)
        parts, bins = parts.flatten(0, 1), bins.flatten()
        for _ in range(_ROUNDS):
            share = parts * self.weights[bins]
            share = share / share.sum(1, keepdim=True).clamp(min=1e-12)
            counts = torch.ones(_BINS, len(_WIDTHS)).index_add_(0, bins, share)
            self.weights.copy_(counts / counts.sum(1, keepdim=True))
