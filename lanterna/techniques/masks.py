"""Masks: grey pictures that say where something goes. White is there, black is elsewhere."""

from collections.abc import Sequence
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna import pictures
from lanterna.averaged import resized
from lanterna.errors import InputError

__all__ = ["check_shape", "feathered", "load_mask", "with_rest_of"]

# Sigma of a mask's soft edge, of the longer side: 5 px of 512. Chosen by eye: no outline is left, and no halo is seen.
_FEATHER = 0.01


def check_shape(name: str, mask: Tensor, size: tuple[int, int], whose: str = "result") -> None:
    """Raise InputError where `mask` (1, C, H, W) has another aspect ratio than `size`, or nothing that is white."""
    if float(mask.max()) == 0:
        raise InputError(f"the mask {name!r} is black everywhere, so nothing may change; white is where it should")
    own, wanted = mask.shape[2] / mask.shape[3], size[0] / size[1]
    # A pixel of rounding is no other shape.
    rounding = 1 / min(size) + 1 / min(mask.shape[2:])
    if abs(own / wanted - 1) > 0.02 + rounding:
        raise InputError(
            f"the mask {name!r} is {mask.shape[2]}x{mask.shape[3]}, another shape than the {whose}'s {size[0]}x{size[1]}; "
            "masks may have any size, but the same aspect ratio"
        )


def load_mask(name: str, size: tuple[int, int], whose: str = "result") -> Tensor:
    """The mask (1, 1, H, W) in [0, 1], at its own size. Raises InputError where it has another shape or is black."""
    mask = pictures.load(name)
    check_shape(name, mask, size, whose)
    return mask.mean(1, keepdim=True)


def feathered(mask: Tensor) -> Tensor:
    """`mask` (1, 1, H, W) with soft edges: a Gaussian, cut off where it is nothing, so that what is far stays 0 or 1."""
    sigma = max(_FEATHER * max(mask.shape[2:]), 0.5)
    radius = ceil(3 * sigma)
    window = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    window = (window / window.sum()).to(mask)
    soft = F.pad(mask, (radius,) * 4, "replicate")
    soft = F.conv2d(F.conv2d(soft, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))
    return soft.clamp(0, 1)


def with_rest_of(painted: Tensor, photograph: Tensor, masks: Sequence[Tensor]) -> Tensor:
    """`painted` (1, 3, H, W) where a mask is white, `photograph` where none is, feathered between them."""
    if not masks:
        return painted
    size = (painted.shape[2], painted.shape[3])
    covered = sum((resized(mask, size).clamp(0, 1) for mask in masks), start=torch.zeros(1)).clamp(0, 1)
    return torch.lerp(photograph, painted, feathered(covered).to(painted))
