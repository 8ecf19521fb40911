"""Histograms of feature maps, channel by channel, and how far two of them are apart."""

import torch
from torch import Tensor

__all__ = ["histogram_distance", "quantiles"]


def quantiles(rows: Tensor, count: int) -> Tensor:
    """Sorted values of each channel of `rows` (N, C) at `count` even steps: (count, C)."""
    ordered = rows.sort(0).values
    position = torch.linspace(0, len(rows) - 1, count, device=rows.device)
    low = position.floor().long()
    high = (low + 1).clamp(max=len(rows) - 1)
    return torch.lerp(ordered[low], ordered[high], (position - low)[:, None])


def histogram_distance(rows: Tensor, target: Tensor) -> Tensor:
    """Mean squared distance of each value to the one of the same rank in `target` (N', C), over the target's energy.

    `rows` is (N, C). After Risser, Wilmot and Barnes, "Stable and Controllable Neural Texture Synthesis and Style Transfer
    Using Histogram Losses", 2017; ranks instead of bins, so it is the 1-D Wasserstein distance of each channel.
    """
    goal = quantiles(target, len(rows))
    return (rows.sort(0).values - goal).square().sum(1).mean() / target.square().sum(1).mean().clamp(min=1e-12)
