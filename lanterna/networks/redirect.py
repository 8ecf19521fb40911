"""Redirected ReLU: a way for gradient through units that are off, after Lucid's redirected_relu_grad.

A unit that is off for the starting picture passes no gradient, and ascent from there stays grey. While `RedirectedReLU` is
active, a ReLU whose whole gradient is zero for a picture lets through what would push its input up. A departure: a unit that
sees little of the picture and fires in one corner would fill that corner alone, so for such it is asked at each position.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lanterna.networks.rectify import CEILINGS, IN_PLACE, masked

__all__ = ["RedirectedReLU"]


class _Redirect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, ceiling: float, in_place: bool, local: Tensor | None) -> Tensor:
        ctx.local = local
        if in_place:
            ctx.mark_dirty(inputs)
        outputs = inputs.clamp_(0.0, ceiling) if in_place else inputs.clamp(0.0, ceiling)
        off = outputs <= 0
        # Of a ReLU, what is not off is on; with a ceiling there is a third part.
        ctx.save_for_backward(off, None if ceiling == float("inf") else (outputs < ceiling).logical_and_(~off))
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        off, on = ctx.saved_tensors
        grad = grads[0]
        fired = masked(grad, (~off).view(torch.uint8))
        plain = fired if on is None else masked(grad, on.view(torch.uint8))
        each = (-1, *[1] * (grad.ndim - 1))
        # What fires as much as it can gets no gradient either, and is not off.
        silent = fired == 0
        blocked = silent.flatten(1).all(1).view(each)
        # A network may fold something else into the batch; then it is not known whose picture is whose.
        if ctx.local is not None and grad.ndim > 1 and len(grad) == len(ctx.local):
            blocked = blocked | (silent.all(1, keepdim=True) & ctx.local.view(each))
        # Asking is free on the CPU, and most often it saves the rest; elsewhere it would make the host wait.
        if not grad.is_cuda and not bool(blocked.any()):
            return plain, None, None, None
        # The loop minimises: a negative gradient is the one that pushes the input up.
        upward = masked(grad.clamp(max=0), off.view(torch.uint8))
        return torch.where(blocked, upward, plain), None, None, None


class RedirectedReLU(TorchFunctionMode):
    """Active inside `with RedirectedReLU():`, in this thread, for modules and functionals; nothing is patched.

    `local` (B,) says of each picture whether its positions are asked one by one.
    """

    def __init__(self, local: Tensor | None = None) -> None:
        super().__init__()
        self._local = local

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = args[0] if args else kwargs.get("input")
        ceiling = CEILINGS.get(func)
        if func is F.hardtanh and kwargs.get("min_val", args[1] if len(args) > 1 else None) == 0.0:
            ceiling = float(kwargs.get("max_val", args[2] if len(args) > 2 else 1.0))
        if ceiling is None or not isinstance(inputs, Tensor) or not inputs.requires_grad:
            return func(*args, **kwargs)
        position = 3 if func is F.hardtanh else 1
        in_place = func in IN_PLACE or bool(kwargs.get("inplace", args[position] if len(args) > position else False))
        return _Redirect.apply(inputs, ceiling, in_place, self._local)
