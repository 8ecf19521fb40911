"""Padding as TensorFlow has it ("same"), without a copy of the map.

With a stride it pads one pixel more behind than before, which torch's convolutions can't, so that timm pads the input first:
on large maps that takes several times as long as the depthwise convolution after it. A kernel with a line of zeros before it
and even padding gives the same sums.
"""

from math import ceil

import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn

from lanterna.networks.convolve import convolve
from lanterna.networks.surgery import hooked, put

__all__ = ["LeanConv2dSame", "lean_same"]


class LeanConv2dSame(nn.Module):
    """What stands in for a `Conv2dSame` without dilation."""

    wide: Tensor

    def __init__(self, conv: Conv2dSame) -> None:
        super().__init__()
        self.conv = conv
        self.register_buffer("wide", F.pad(conv.weight.detach(), (1, 0, 1, 0)), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) as `Conv2dSame`."""
        conv = self.conv
        padding = [
            max((ceil(length / stride) - 1) * stride + kernel - length, 0)
            for length, stride, kernel in zip(inputs.shape[2:], conv.stride, conv.kernel_size, strict=True)
        ]
        # How much is padded depends on the size of the map; with an even number there is nothing to mend.
        if not all(total % 2 for total in padding):
            found: Tensor = conv(inputs)
            return found
        both = [(total + 1) // 2 for total in padding]
        return convolve(inputs, self.wide, conv.bias, conv.stride, both, conv.dilation, conv.groups)


def lean_same(module: nn.Module) -> nn.Module:
    """`module` with its depthwise "same" convolutions with a stride made `LeanConv2dSame`. Changes `module`.

    Others are left alone: the gradient of a full convolution costs more with the larger kernel than the copy does.
    """
    for part in list(module.modules()):
        if type(part) is not Conv2dSame or hooked(part):
            continue
        if part.groups == part.in_channels > 1 and max(part.stride) > 1 == max(part.dilation):
            put(module, part, LeanConv2dSame(part))
    return module
