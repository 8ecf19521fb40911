"""Convolutions that repeat the border, without keeping the padded map.

torch pads in an operation of its own, and keeps both the map, for its shape, and the padded copy, for the gradient of the
weights.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lanterna.networks.convolve import convolve

__all__ = ["ReplicateConv2d"]


class _Pad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, padding: list[int]) -> Tensor:
        ctx.shape, ctx.padding = inputs.shape, padding
        return F.pad(inputs, padding, mode="replicate")

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        # By hand: torch's own gives a map with channels first, whatever it gets, by way of another copy.
        gradient = grads[0]
        left, right, top, bottom = ctx.padding
        height, width = ctx.shape[2:]
        rows, columns = slice(top, top + height), slice(left, left + width)
        found = gradient[:, :, rows, columns].clone(memory_format=torch.preserve_format)
        if gradient.is_contiguous(memory_format=torch.channels_last):
            found = found.contiguous(memory_format=torch.channels_last)
        for amount, at, strip in ((top, 0, slice(0, top)), (bottom, -1, slice(top + height, None))):
            if amount:
                line = gradient[:, :, strip].sum(2)
                found[:, :, at] += line[..., columns]
                found[:, :, at, 0] += line[..., :left].sum(2)
                found[:, :, at, -1] += line[..., left + width :].sum(2)
        if left:
            found[..., 0] += gradient[:, :, rows, :left].sum(3)
        if right:
            found[..., -1] += gradient[:, :, rows, left + width :].sum(3)
        return found, None


class ReplicateConv2d(nn.Conv2d):
    """An `nn.Conv2d` with padding_mode "replicate" and weights that need no gradient."""

    @classmethod
    def of(cls, conv: nn.Conv2d) -> "ReplicateConv2d":
        """`conv`, with its weights, that pads by repeating."""
        made = cls.__new__(cls)
        made.__dict__ = {**conv.__dict__}
        made.padding_mode = "replicate"
        return made

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) as `nn.Conv2d`."""
        padding = list(self._reversed_padding_repeated_twice)
        if (torch.is_grad_enabled() and self.weight.requires_grad) or inputs.ndim != 4:
            plain: Tensor = super().forward(inputs)
            return plain
        padded = _Pad.apply(inputs, padding) if any(padding) else inputs
        return convolve(padded, self.weight, self.bias, self.stride, (0, 0), self.dilation, self.groups)
