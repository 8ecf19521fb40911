"""Small moves of training pictures: with a few thousand of them, what a net of this size needs most."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["moved"]


def moved(
    pictures: Tensor,
    generator: torch.Generator,
    *,
    turn: float = 8.0,
    zoom: float = 0.08,
    shift: float = 0.05,
    bend: float = 0.04,
) -> Tensor:
    """Pictures (B, C, S, S) turned by up to `turn` degrees, zoomed, sheared, moved and bent by shares of the side.

    The bend is a coarse field of displacements (Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural
    Networks", 2003). A border that has no pixels repeats the nearest.
    """
    count = len(pictures)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * 2 - 1

    angle = uniform(count) * math.radians(turn)
    stretch = torch.exp(uniform(count, 2) * zoom)
    shear = uniform(count) * zoom
    cosine, sine = angle.cos(), angle.sin()
    rows = torch.stack([cosine * stretch[:, 0], -sine * stretch[:, 1] + shear, 2 * shift * uniform(count)], 1)
    others = torch.stack([sine * stretch[:, 0], cosine * stretch[:, 1], 2 * shift * uniform(count)], 1)
    grid = F.affine_grid(torch.stack([rows, others], 1), list(pictures.shape), align_corners=False)
    if bend:
        field = F.interpolate(uniform(count, 2, 4, 4) * 2 * bend, pictures.shape[-2:], mode="bicubic", align_corners=False)
        grid = grid + field.permute(0, 2, 3, 1)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
