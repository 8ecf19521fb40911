"""Where in the picture a position of a layer looks: its receptive field placed exactly, or what of it counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import torch
from torch import Tensor

from lanterna.networks.layer import Layer

__all__ = ["Place", "crop", "effective", "inside_of", "place"]

_ENERGY = 0.9  # of the gradient's energy along each side lies within the effective field


@dataclass(frozen=True)
class Place:
    """Rows `top` to `bottom`, columns `left` to `right`, the last ones included; they may lie outside of the picture."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.bottom - self.top + 1, self.right - self.left + 1

    def inside(self, size: tuple[int, int]) -> "Place":
        """The part of it that is in a picture of `size`."""
        return Place(max(self.top, 0), min(self.bottom, size[0] - 1), max(self.left, 0), min(self.right, size[1] - 1))


def place(layer: Layer, row: int, column: int, size: tuple[int, int]) -> Place | None:
    """The receptive field of one position of `layer` in pictures of `size`; None where it exceeds the picture."""
    if layer.view is None:
        return None
    rows, columns = layer.view
    found = Place(
        floor(rows.first + row * rows.stride), ceil(rows.last + row * rows.stride),
        floor(columns.first + column * columns.stride), ceil(columns.last + column * columns.stride),
    )  # fmt: skip
    return None if found.size[0] > size[0] or found.size[1] > size[1] else found


def inside_of(layer: Layer, shape: Sequence[int], size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The rows and columns, first and last of each, of the positions of `layer` that see nothing beyond a picture of `size`.

    `shape` is that of the layer's features, (B, C, h, w). None where there is no such position, and where each sees the
    whole picture.
    """
    if layer.view is None or len(shape) != 4:
        return None
    bounds: list[int] = []
    for axis, count, side in zip(layer.view, shape[2:], size, strict=True):
        within = [
            i for i in range(count) if floor(axis.first + i * axis.stride) >= 0 and ceil(axis.last + i * axis.stride) < side
        ]
        if not within:
            return None
        bounds += [within[0], within[-1]]
    return bounds[0], bounds[1], bounds[2], bounds[3]


def crop(picture: Tensor, where: Place, outside: float = 1.0) -> Tensor:
    """The pixels of (1, C, H, W) at `where`, (1, C, *where.size); beyond the edge is `outside`."""
    seen = where.inside((picture.shape[2], picture.shape[3]))
    made = torch.full((*picture.shape[:2], *where.size), outside)
    rows = slice(seen.top - where.top, seen.bottom - where.top + 1)
    columns = slice(seen.left - where.left, seen.right - where.left + 1)
    made[:, :, rows, columns] = picture[:, :, seen.top : seen.bottom + 1, seen.left : seen.right + 1]
    return made


def effective(gradient: Tensor) -> Place:
    """The rows and the columns that hold the middle 90 % of the energy of `gradient` (1, C, H, W).

    Luo et al., "Understanding the Effective Receptive Field", 2016: most of a large field hardly counts.
    """
    energy = gradient.square().sum((0, 1))
    found = []
    for side in (energy.sum(1), energy.sum(0)):
        share = side.cumsum(0) / side.sum().clamp(min=1e-30)
        low, high = (1 - _ENERGY) / 2, (1 + _ENERGY) / 2
        found += [int((share < low).sum()), min(int((share < high).sum()), len(side) - 1)]
    return Place(*found)
