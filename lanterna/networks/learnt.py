"""Whether a network has learnt anything, told from its weights alone."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["Learnt", "neighbour_correlation"]

# Beyond this many standard errors no kernel of random numbers is found by chance, however many layers are looked at.
_CERTAIN = 5.0


@dataclass(frozen=True)
class Learnt:
    """How much neighbouring weights in a network's kernels go together.

    `correlation` is that of the layer where it is surest, `chance` the largest that random weights of its size would have,
    `layer` its name.
    """

    layer: str
    correlation: float
    chance: float

    @property
    def learnt(self) -> bool:
        """Whether the weights are others than chance gives."""
        return abs(self.correlation) > self.chance


def neighbour_correlation(module: nn.Module) -> Learnt | None:
    """What the kernels of `module` tell of learning; None where none is 2 x 2 or larger.

    Random weights are independent, so neighbours in a kernel do not go together. Pictures are smooth, and so are kernels that
    have learnt from them. The standard error is that of a sum of independent products.
    """
    best: tuple[float, Learnt] | None = None
    for name, part in module.named_modules():
        if not isinstance(part, nn.Conv2d) or max(part.kernel_size) < 2:
            continue
        found = _correlation(part.weight.detach().double())
        if found is None:
            continue
        correlation, error = found
        sure = abs(correlation) / error
        if best is None or sure > best[0]:
            best = sure, Learnt(name, correlation, _CERTAIN * error)
    return None if best is None else best[1]


def _correlation(weight: Tensor) -> tuple[float, float] | None:
    products = torch.cat(
        [(weight[..., 1:] * weight[..., :-1]).flatten(), (weight[..., 1:, :] * weight[..., :-1, :]).flatten()]
    )
    scale = float(weight.square().mean()) * len(products)
    spread = math.sqrt(float(products.square().sum()))
    return None if not scale or not spread else (float(products.sum()) / scale, spread / scale)
