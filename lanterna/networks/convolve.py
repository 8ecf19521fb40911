"""Convolutions and pooling of a frozen network, that keep no map for the gradient.

torch keeps the input of every convolution for the gradient of its weights, and the input of a pooling for its shape. The
gradient to the input needs the weights, or the places of the maxima, and no values. With rectifiers that keep a mask
(`rectify`), what a pass holds is about a quarter.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lanterna.networks.surgery import hooked, put

__all__ = ["LeanConv2d", "LeanMaxPool2d", "convolve", "keep_no_maps"]


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.size, ctx.how = inputs.shape[2:], how
        return F.conv2d(inputs, weight, bias, *how)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.how
        # With a stride, several sizes of the input give the same size of the output.
        left = [
            size - ((out - 1) * s - 2 * p + d * (kernel - 1) + 1)
            for size, out, s, p, d, kernel in zip(
                ctx.size, grads[0].shape[2:], stride, padding, dilation, weight.shape[2:], strict=True
            )
        ]
        gradient = F.conv_transpose2d(grads[0], weight, None, stride, padding, left, groups, dilation)
        return gradient, None, None, *(None for _ in ctx.how)


def convolve(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """(B, C, H, W) as `torch.nn.functional.conv2d`, for weights that need no gradient: `inputs` is not kept."""
    if not torch.is_grad_enabled() or not inputs.requires_grad:
        return F.conv2d(inputs, weight, bias, stride, padding, dilation, groups)
    found: Tensor = _Convolve.apply(inputs, weight, bias, stride, padding, dilation, groups)
    return found


class LeanConv2d(nn.Conv2d):
    """What stands in for an `nn.Conv2d` that pads by zeros, while its weights need no gradient."""

    @classmethod
    def of(cls, conv: nn.Conv2d) -> "LeanConv2d":
        """`conv`, with its weights."""
        made = cls.__new__(cls)
        made.__dict__ = {**conv.__dict__}
        return made

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) as `nn.Conv2d`."""
        if self.weight.requires_grad or inputs.ndim != 4:
            plain: Tensor = super().forward(inputs)
            return plain
        assert not isinstance(self.padding, str)
        return convolve(inputs, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


# Elements whose places are had at a time: as numbers of eight bytes they then stay in the processor's cache.
_CHUNK = 1 << 17


class _Pool(torch.autograd.Function):
    """Of each window the place of its maximum in the window is kept, a byte: torch keeps that in the map, in eight."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, window: tuple[int, int], ceil_mode: bool) -> Tensor:
        outputs = F.max_pool2d(inputs, window, ceil_mode=ceil_mode)
        kept = torch.empty_like(outputs, dtype=torch.uint8 if window[0] * window[1] <= 256 else torch.int32)
        width = inputs.shape[3]
        for rows in _strips(outputs):
            part = inputs[:, :, rows.start * window[0] : rows.stop * window[0]]
            _, places = F.max_pool2d(part, window, return_indices=True, ceil_mode=ceil_mode)
            places -= _corners(places, window, width)
            places -= places // width * (width - window[1])
            kept[:, :, rows] = places
        ctx.save_for_backward(kept)
        ctx.shape, ctx.window = inputs.shape, window
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        (high, wide), (height, width) = ctx.window, ctx.shape[2:]
        last = grads[0].is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if last else torch.contiguous_format
        # Without ceil_mode the lines that are left over are in no window, and stay 0.
        found = torch.empty(ctx.shape, dtype=grads[0].dtype, device=grads[0].device, memory_format=layout).zero_()
        for rows in _strips(grads[0]):
            byte = kept[:, :, rows]
            places = (byte // wide).long()
            places *= width - wide
            places += byte
            places += _corners(places, ctx.window, width)
            lines = min(rows.stop * high, height) - rows.start * high
            strip = F.max_unpool2d(grads[0][:, :, rows], places, ctx.window, output_size=(lines, width))
            found[:, :, rows.start * high : rows.start * high + lines] = strip
        return found, None, None


def _strips(maps: Tensor) -> list[slice]:
    """Slices of the rows of `maps` (B, C, H, W), about a chunk each; all of them where there is no such cache."""
    chunk = _CHUNK if maps.device.type == "cpu" else maps.numel()
    rows = max(1, chunk // max(1, maps[:, :, :1].numel()))
    return [slice(start, min(start + rows, maps.shape[2])) for start in range(0, maps.shape[2], rows)]


def _corners(places: Tensor, window: tuple[int, int], width: int) -> Tensor:
    """Where in a map of `width` each of the windows of `places` (B, C, H, W) begins, (H, W)."""
    rows, columns = (torch.arange(size, device=places.device) for size in places.shape[2:])
    return rows[:, None] * (window[0] * width) + columns * window[1]


class LeanMaxPool2d(nn.Module):
    """What stands in for an `nn.MaxPool2d` whose windows do not overlap."""

    def __init__(self, window: int | tuple[int, int], ceil_mode: bool) -> None:
        super().__init__()
        self.window = window if isinstance(window, tuple) else (window, window)
        self.ceil_mode = ceil_mode

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) as `nn.MaxPool2d`."""
        if not torch.is_grad_enabled() or not inputs.requires_grad or inputs.ndim != 4:
            return F.max_pool2d(inputs, self.window, ceil_mode=self.ceil_mode)
        pooled: Tensor = _Pool.apply(inputs, self.window, self.ceil_mode)
        return pooled


def _tiles_the_map(pool: nn.MaxPool2d) -> bool:
    plain = pool.padding in (0, (0, 0)) and pool.dilation in (1, (1, 1)) and not pool.return_indices
    return plain and pool.kernel_size == pool.stride and isinstance(pool.kernel_size, int | tuple)


def keep_no_maps(module: nn.Module) -> nn.Module:
    """`module` with its convolutions and its pooling made `LeanConv2d` and `LeanMaxPool2d`, where that can be.

    Modules with hooks of the user's are left alone, as are subclasses, whose forward pass may be another. Changes `module`.
    """
    for part in list(module.modules()):
        if hooked(part):
            continue
        if type(part) is nn.Conv2d and part.padding_mode == "zeros" and not isinstance(part.padding, str):
            put(module, part, LeanConv2d.of(part))
        elif type(part) is nn.MaxPool2d and _tiles_the_map(part):
            put(module, part, LeanMaxPool2d(part.kernel_size, part.ceil_mode))
    return module
