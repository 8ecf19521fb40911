"""ReLU and ReLU6 in place, keeping for the gradient one byte a position: where it passes.

torch's in-place ReLU6 copies its input first, and out of place the input is kept beside the output. Where nothing else looks
at the input, a mask tells as much, and the map itself is given back as soon as the next layer has read it.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from lanterna.networks.surgery import hooked, put

__all__ = [
    "CEILINGS",
    "IN_PLACE",
    "LeanReLU",
    "ceiling_of",
    "lean_relu",
    "lean_relu6",
    "masked",
    "rectify_in_place",
    "shown_relu",
]

_ENDLESS = float("inf")


# Elements that are masked at a time. The mask is made floats first: that way in a small buffer, not in one as large as a map.
_CHUNK = 1 << 20


def masked(gradient: Tensor, passes: Tensor) -> Tensor:
    """gradient * passes, for bytes of 0 and 1, without a copy of the mask in floats."""
    if gradient.ndim != 4:
        return gradient * passes
    found = torch.empty_like(gradient)
    rows = max(1, _CHUNK // max(1, gradient[:, :, :1].numel()))
    for given, mask, out in zip(gradient.split(rows, 2), passes.split(rows, 2), found.split(rows, 2), strict=True):
        torch.mul(given, mask, out=out)
    return found


class _LeanReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.mark_dirty(inputs)
        outputs = inputs.relu_()
        ctx.save_for_backward((outputs > 0).view(torch.uint8))
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (passes,) = ctx.saved_tensors
        return masked(grads[0], passes)


class _ShownReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.mark_dirty(inputs)
        outputs = inputs.relu_()
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (outputs,) = ctx.saved_tensors
        gradient: Tensor = torch.ops.aten.threshold_backward(grads[0], outputs, 0.0)
        return gradient


class _LeanReLU6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.mark_dirty(inputs)
        outputs = inputs.clamp_(0.0, 6.0)
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (outputs,) = ctx.saved_tensors
        # It asks where its argument lies strictly between the bounds: the output does there, and only there.
        gradient: Tensor = torch.ops.aten.hardtanh_backward(grads[0], outputs, 0.0, 6.0)
        return gradient


def lean_relu(inputs: Tensor) -> Tensor:
    """max(x, 0), in place; `inputs` must not be needed by whatever made it. Seen by torch function modes."""
    if has_torch_function_unary(inputs):
        result: Tensor = handle_torch_function(lean_relu, (inputs,), inputs)
        return result
    if not torch.is_grad_enabled() or not inputs.requires_grad:
        return inputs.relu_()
    output: Tensor = _LeanReLU.apply(inputs)
    return output


def shown_relu(inputs: Tensor) -> Tensor:
    """As `lean_relu`, for a map that is kept anyway: it needs no mask beside it. Seen by torch function modes."""
    if has_torch_function_unary(inputs):
        result: Tensor = handle_torch_function(shown_relu, (inputs,), inputs)
        return result
    if not torch.is_grad_enabled() or not inputs.requires_grad:
        return inputs.relu_()
    output: Tensor = _ShownReLU.apply(inputs)
    return output


def lean_relu6(inputs: Tensor) -> Tensor:
    """min(max(x, 0), 6), in place; `inputs` must not be needed by whatever made it. Seen by torch function modes."""
    if has_torch_function_unary(inputs):
        result: Tensor = handle_torch_function(lean_relu6, (inputs,), inputs)
        return result
    if not torch.is_grad_enabled() or not inputs.requires_grad:
        return inputs.clamp_(0.0, 6.0)
    output: Tensor = _LeanReLU6.apply(inputs)
    return output


# Every way to call a rectifier, and where it ends. Modules (nn.ReLU, nn.ReLU6) call these functionals, so a mode that knows
# these catches them as well.
CEILINGS: dict[Callable[..., Any], float] = {
    F.relu: _ENDLESS,
    F.relu_: _ENDLESS,
    torch.relu: _ENDLESS,
    torch.relu_: _ENDLESS,
    Tensor.relu: _ENDLESS,
    Tensor.relu_: _ENDLESS,
    F.relu6: 6.0,
    lean_relu: _ENDLESS,
    lean_relu6: 6.0,
    shown_relu: _ENDLESS,
}

# Those of them that change their argument whatever else they are told.
IN_PLACE = frozenset({F.relu_, torch.relu_, Tensor.relu_, lean_relu, lean_relu6, shown_relu})


class LeanReLU(nn.Module):
    """What stands in for an `nn.ReLU` or, with a ceiling of 6, an `nn.ReLU6`; `shown` where its map is kept anyway."""

    def __init__(self, ceiling: float, shown: bool = False) -> None:
        super().__init__()
        self.ceiling, self.shown = ceiling, shown

    def forward(self, inputs: Tensor) -> Tensor:
        """Any shape, changed in place."""
        if self.ceiling != _ENDLESS:
            return lean_relu6(inputs)
        return shown_relu(inputs) if self.shown else lean_relu(inputs)


def ceiling_of(module: nn.Module) -> float | None:
    """Where the rectifier that `module` is ends, infinity for a ReLU; None for everything else."""
    if isinstance(module, LeanReLU):
        return module.ceiling
    return {nn.ReLU: _ENDLESS, nn.ReLU6: 6.0}.get(type(module))


def rectify_in_place(
    module: nn.Module, pairs: Iterable[tuple[str, str]], keep: Iterable[str] = (), shown: Iterable[str] = ()
) -> nn.Module:
    """`module` with the ReLU or ReLU6 of each (producer, rectifier) of `pairs` made `LeanReLU`: nothing else looks between.

    Those that are in place already become `LeanReLU` as well. Producers in `keep` are looked at, and left alone, as are
    modules with hooks of the user's. The maps of rectifiers in `shown` are kept by who reads them. Changes `module`.
    """
    kept, open_maps = set(keep), {module.get_submodule(name) for name in shown}
    lean = [part for part in module.modules() if type(part) in (nn.ReLU, nn.ReLU6) and part.inplace and not hooked(part)]
    for producer, name in pairs:
        part = module.get_submodule(name)
        if producer not in kept and not hooked(part) and not hooked(module.get_submodule(producer)):
            lean.append(part)
    for part in dict.fromkeys(lean):
        ceiling = ceiling_of(part)
        if ceiling is not None:
            put(module, part, LeanReLU(ceiling, part in open_maps))
    return module
