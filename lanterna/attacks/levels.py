"""The way back onto the grid of 8 bits: a file holds whole levels, and rounding undoes the smallest changes.

That rounding decides, and should follow the gradient: Bonnet, Furon and Bas, "What if Adversarial Samples were Digital
Images?", IH&MMSec 2020. What is here is simpler: single levels, those first that help most.
"""

import torch
from torch import Tensor

from lanterna.attacks.criteria import Criterion
from lanterna.attacks.result import rounded, spread
from lanterna.networks.network import LOGITS, Network

__all__ = ["refine_levels"]

_LEVEL = 1 / 255
# How far beyond the frontier, taken as flat, the first step goes, and by how much further each later one: a whole level bends
# the gradient where it is greatest, so that the first steps gain a part of what they should. And the most values at a time.
_BEYOND, _FURTHER, _MOST = 1.5, 1.3, 0.1


def refine_levels(
    network: Network, pictures: Tensor, criterion: Criterion, *, steps: int = 40
) -> tuple[Tensor, Tensor, Tensor]:
    """8-bit pictures (B, C, H, W) that meet the criterion, from those of `pictures` that do not.

    Beside them the values moved and the gradients taken for each, (B,). Each step moves the values with the greatest gradient
    by one level, some more than a flat frontier needs, for it is not flat a whole level away. A picture that is not there
    after `steps` passes comes back as it was, rounded, with 0 values moved.
    """
    begun = rounded(pictures.detach())
    current = begun.clone()
    active = torch.arange(len(begun), device=begun.device)
    passes = torch.zeros_like(active)
    with network.reading([LOGITS]) as read:
        for step in range(steps + 1):
            here, wanted = current[active].requires_grad_(True), criterion.take(active)
            logits = read(here)[LOGITS]
            margin = wanted.margin(logits)
            (slope,) = torch.autograd.grad(margin.sum(), here)
            passes[active] += 1
            short = ~wanted.met(logits.detach())
            active = active[short]
            if len(active) == 0:
                break
            missing = -margin.detach()[short] * _BEYOND * _FURTHER**step
            current[active] = rounded(_moved(here.detach()[short], slope[short], missing))
    current[active] = begun[active]
    return current, (current != begun).flatten(1).sum(1), passes


def _moved(here: Tensor, slope: Tensor, missing: Tensor) -> Tensor:
    """One level more or less where it brings the most, for `missing` (B,) logits in all at a flat frontier."""
    step = slope.sign() * _LEVEL
    inside = ((here + step) > -_LEVEL / 2) & ((here + step) < 1 + _LEVEL / 2)
    gain = (slope.abs() * inside).flatten(1)
    ranked = gain.sort(1, descending=True)
    gathered = (ranked.values * _LEVEL).cumsum(1)
    # Where both are level, one value at least.
    enough = (gathered < missing.clamp(min=0)[:, None]).sum(1).clamp(max=int(_MOST * gain.shape[1]))
    least = ranked.values.gather(1, enough[:, None])[:, 0]
    chosen = (slope.abs() >= spread(least)) & inside & (slope != 0)
    return here + step * chosen
