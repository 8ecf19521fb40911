"""Small pictures side by side, as the chapters about digits show them."""

import torch
from torch import Tensor

__all__ = ["strip"]


def strip(pictures: Tensor) -> Tensor:
    """Pictures (N, C, S, S) side by side, a pixel apart, as (1, 3, S, N S + N - 1)."""
    gap = torch.full((1, 3, pictures.shape[2], 1), 0.5)
    parts: list[Tensor] = []
    for picture in pictures:
        parts += [gap, picture[None].expand(1, 3, -1, -1).clamp(0, 1)]
    return torch.cat(parts[1:], dim=3)
