"""Steps of one size: the gradient divided by its mean magnitude, as dreaming takes them."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["NormalizedSteps", "even_out"]


def even_out(gradient: Tensor, levels: int) -> Tensor:
    """The gradient (B, C, H, W) with each band of frequencies at the same strength (Laplacian pyramid, normalised).

    Left alone, the finest band wins and the picture fills with grain.
    """
    bands, rest = [], gradient
    for _ in range(levels):
        if min(rest.shape[2:]) < 4:
            break
        low = F.interpolate(rest, scale_factor=0.5, mode="bilinear", antialias=True, align_corners=False)
        bands.append(rest - F.interpolate(low, rest.shape[2:], mode="bicubic", align_corners=False))
        rest = low
    out = rest / rest.std().clamp(min=1e-12)
    for band in reversed(bands):
        out = F.interpolate(out, band.shape[2:], mode="bicubic", align_corners=False)
        out += band / band.std().clamp(min=1e-12)
    return out


class NormalizedSteps(torch.optim.Optimizer):
    """`lr` is how far a pixel moves per step, in the mean over the picture."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        *,
        levels: int = 0,
        mask: Tensor | None = None,
        settle: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__(list(parameters), {"lr": lr})
        self._levels, self._mask, self._settle = levels, mask, settle

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step downhill, as all of torch's optimisers go; `closure` finds the gradient first."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = even_out(parameter.grad, self._levels) if self._levels else parameter.grad
                if self._mask is not None:
                    gradient = gradient * self._mask
                size = gradient.abs().mean().clamp(min=1e-20)
                parameter.sub_(gradient * (group["lr"] / size))
                if self._settle is not None:
                    parameter.copy_(self._settle(parameter))
                parameter.clamp_(0, 1)
