"""Patterns as small networks from a place to a colour: compositional pattern-producing networks (CPPN).

Stanley, "Compositional Pattern Producing Networks", 2007; the indirect encoding of Nguyen, Yosinski and Clune, "Deep Neural
Networks are Easily Fooled", CVPR 2015, here with weights that follow the gradient instead of evolution.
"""

import torch
from torch import Tensor

from lanterna.canvas import Canvas

__all__ = ["PatternCanvas"]

_HIDDEN, _LAYERS = 16, 4
# Of the first layer's weights: how many waves a picture has at the start.
_SPREAD = 1.5


def _activate(values: Tensor) -> Tensor:
    """An odd and an even function side by side, each at about unit variance: edges and their symmetric counterparts."""
    odd = torch.tanh(values)
    return torch.cat([odd / 0.67, (odd.square() - 0.45) / 0.33], 1)


class PatternCanvas(Canvas):
    """One small network for each picture, from (row, column, radius) to colour; its weights are what is optimised."""

    def __init__(self, weights: list[Tensor], size: tuple[int, int]) -> None:
        super().__init__(weights)
        self.size = size

    @classmethod
    def noise(
        cls, shape: tuple[int, int, int, int], generator: torch.Generator, device: torch.device | None = None
    ) -> "PatternCanvas":
        """Random weights of a variance that keeps that of the values, without bias but for the first layer."""
        batch, channels, height, width = shape
        widths = [(4, _HIDDEN)] + [(2 * _HIDDEN, _HIDDEN)] * (_LAYERS - 1) + [(2 * _HIDDEN, channels)]
        weights = []
        for layer, (inside, outside) in enumerate(widths):
            scale = _SPREAD if layer == 0 else inside**-0.5
            weights.append((scale * torch.randn((batch, outside, inside), generator=generator)).to(device))
        return cls(weights, (height, width))

    def _places(self, like: Tensor) -> Tensor:
        """Row, column, radius and one (1, 4, H * W), with the shorter side from -1.7 to 1.7."""
        height, width = self.size
        shorter = min(height, width)
        rows = torch.linspace(-1.7, 1.7, height).mul(height / shorter)[:, None].expand(height, width)
        columns = torch.linspace(-1.7, 1.7, width).mul(width / shorter)[None].expand(height, width)
        radius = torch.hypot(rows, columns) - 1.2
        return torch.stack([rows, columns, radius, torch.ones_like(rows)]).flatten(1)[None].to(like)

    def render(self) -> Tensor:
        """Pictures (B, C, H, W) in [0, 1]."""
        values = self._places(self.parameters[0])
        for weights in self.parameters[:-1]:
            values = _activate(weights @ values)
        pictures: Tensor = (self.parameters[-1] @ values).sigmoid().unflatten(2, self.size)
        return pictures
