"""The gradient of an objective over a picture of any size, one tile at a time: memory of a tile, the same numbers.

A layer's position depends on its receptive field and on nothing else. So the gradient of a sum over positions is the sum of
the gradients of its parts, and each part needs only the pixels that its positions see: a tile and, around it, a halo.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, lcm

import torch
from torch import Tensor

from lanterna.errors import InputError
from lanterna.networks.layer import Layer
from lanterna.objectives import Objective

__all__ = ["Reach", "Tiles", "mirrored", "per_position", "reach_of"]

# Where a layer sees the whole picture there is no stride to go by; networks for pictures end at 32 or below.
_USUAL_STRIDE = 32


@dataclass(frozen=True)
class Reach:
    """How far layers see, for cutting tiles: pixels.

    Tiles begin at multiples of `align`, for then the maps of a tile are pieces of the map of the whole. `halo` is what a tile
    needs (before, after) itself, multiples of `align` too. `exact` is False where a layer sees the whole picture: a tile
    is then a picture of its own. `strides` has the distance between positions for each layer.
    """

    align: int
    halo: tuple[int, int]
    exact: bool
    strides: Mapping[str, int]


def reach_of(layers: Sequence[Layer]) -> Reach:
    """The reach of all `layers` together."""
    strides, before, after, exact = {}, 0.0, 0.0, True
    for layer in layers:
        axes = layer.view if len(layer.shape) == 3 else None
        if axes is None or any(axis.stride != int(axis.stride) or axis.stride != axes[0].stride for axis in axes):
            strides[layer.name], exact = _USUAL_STRIDE, False
            continue
        stride = int(axes[0].stride)
        strides[layer.name] = stride
        before = max(before, *(-axis.first for axis in axes))
        after = max(after, *(axis.last - stride + 1 for axis in axes))
    align = lcm(*strides.values())
    return Reach(align, (ceil(before / align) * align, ceil(max(after, 0) / align) * align), exact, strides)


def mirrored(start: int, stop: int, length: int) -> Tensor:
    """Where a picture of `length` pixels, mirrored at both ends without end, has its pixels `start` to `stop` - 1: (N,)."""
    period = max(2 * (length - 1), 1)
    position = torch.arange(start, stop).remainder(period)
    return torch.minimum(position, period - position) if length > 1 else torch.zeros_like(position)


def per_position(objective: Objective, layer: str) -> Objective:
    """A mean over a layer's positions as a sum over them: what tiles can add up."""

    def value(features: Mapping[str, Tensor]) -> Tensor:
        found = features[layer]
        return objective(features) * (found[0, 0].numel() if found.ndim > 2 else 1)

    return Objective(value, objective.layers, objective.name)


class Tiles:
    """A source of gradients for `ascend`: views of a whole picture that is shifted at random, tile by tile.

    Each step sees the picture moved by up to `shift` pixels within its own mirrored surroundings, so that neither the
    network's grid nor the picture's border leaves a mark. `side` is the side of a tile with its halo, in pixels; None takes
    the whole in one. The objective must be a sum over positions (`per_position`) of layers that `reach` knows.
    """

    def __init__(self, reach: Reach, shift: int = 0, side: int | None = None) -> None:
        self.reach, self.shift = reach, shift
        least = sum(reach.halo) + reach.align
        if side is not None and side < least:
            raise InputError(f"a tile of {side} px is too small: the layers see so far that {least} px is the least")
        self.core = None if side is None else (side - sum(reach.halo)) // reach.align * reach.align

    def spans(self, length: int) -> list[tuple[int, int, int, int]]:
        """For one axis: (first of the tile's own, end of it, first read, end of what is read), in the view's pixels."""
        align = self.reach.align
        whole = ceil((length + self.shift) / align) * align
        if self.core is None or self.core >= whole:
            return [(0, whole, 0, whole)]
        before, after = self.reach.halo
        # The rest joins the last tile where it is too small to hold one receptive field by itself.
        edges = [0, *range(self.core, whole - after - align + 1, self.core), whole]
        return [(start, stop, max(start - before, 0), min(stop + after, whole)) for start, stop in pairwise(edges)]

    def __call__(
        self,
        pictures: Tensor,
        read: Callable[[Tensor], dict[str, Tensor]],
        objective: Objective,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """The objective's values (B,) for `pictures` (B, C, H, W), and its gradient of the same shape as the pictures."""
        down, right = (int(torch.randint(self.shift + 1, (), generator=generator)) for _ in range(2))
        gradient, total = torch.zeros_like(pictures), pictures.new_zeros(len(pictures))
        for top in self.spans(pictures.shape[2]):
            rows = mirrored(top[2] - down, top[3] - down, pictures.shape[2]).to(pictures.device)
            for left in self.spans(pictures.shape[3]):
                columns = mirrored(left[2] - right, left[3] - right, pictures.shape[3]).to(pictures.device)
                tile = pictures.detach().index_select(2, rows).index_select(3, columns).requires_grad_()
                features = read(tile)
                values = objective({name: self._own(name, found, top, left) for name, found in features.items()})
                (slope,) = torch.autograd.grad(values.sum(), tile)
                total += values.detach()
                wide = slope.new_zeros((*slope.shape[:3], pictures.shape[3])).index_add_(3, columns, slope)
                gradient.index_add_(2, rows, wide)
        return total, gradient

    def _own(self, name: str, features: Tensor, top: tuple[int, ...], left: tuple[int, ...]) -> Tensor:
        """The positions of a layer that belong to the tile, without those of its halo."""
        if features.ndim < 4 or not self.reach.exact:
            return features
        stride = self.reach.strides[name]
        rows, columns = (slice((span[0] - span[2]) // stride, (span[1] - span[2]) // stride) for span in (top, left))
        return features[:, :, rows, columns]
