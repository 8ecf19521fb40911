"""Convolutions that repeat the border, without keeping the padded map.

torch pads in an operation of its own, and then keeps the padded copy for the gradient of the weights, beside the map that the
ReLU before it keeps: twice the memory. The gradient to the input needs the weights alone.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ReplicateConv2d"]


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, padding: list[int], how: Any) -> Tensor:
        padded = F.pad(inputs, padding, mode="replicate")
        outputs: Tensor = F.conv2d(padded, weight, bias, how[0], 0, *how[1:])
        ctx.save_for_backward(weight)
        ctx.shapes, ctx.padding, ctx.how = (inputs.shape, padded.shape), padding, how
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (weight,) = ctx.saved_tensors
        stride, dilation, groups = ctx.how
        # What stands for the inputs: only their shape is asked for.
        inputs, padded = (grads[0].new_empty(1).expand(shape) for shape in ctx.shapes)
        gradient = torch.ops.aten.convolution_backward(
            grads[0], padded, weight, None, stride, (0, 0), dilation, False, (0, 0), groups, (True, False, False)
        )[0]
        found: Tensor = torch.ops.aten.replication_pad2d_backward(gradient, inputs, ctx.padding)
        return found, None, None, None, None


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
        learns = torch.is_grad_enabled() and self.weight.requires_grad
        if learns or inputs.ndim != 4 or not any(padding):
            plain: Tensor = super().forward(inputs)
            return plain
        found: Tensor = _Convolve.apply(inputs, self.weight, self.bias, padding, (self.stride, self.dilation, self.groups))
        return found
