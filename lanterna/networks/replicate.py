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
        # What stands for the inputs: only their shape is asked for.
        inputs = grads[0].new_empty(1).expand(ctx.shape)
        found: Tensor = torch.ops.aten.replication_pad2d_backward(grads[0], inputs, ctx.padding)
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
