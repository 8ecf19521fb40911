"""ReLU and ReLU6 in place, keeping for the gradient nothing but their own output.

torch's in-place ReLU6 copies its input first, and out of place the input is kept beside the output that the next layer
keeps anyway: either way a second set of maps. Where nothing else looks at the input, the output alone tells where the
gradient passes.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from lanterna.networks.surgery import hooked, put

__all__ = ["CEILINGS", "LeanReLU6", "ceiling_of", "lean_relu6", "rectify_in_place"]


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


def lean_relu6(inputs: Tensor) -> Tensor:
    """min(max(x, 0), 6), in place; `inputs` must not be needed by whatever made it. Seen by torch function modes."""
    if has_torch_function_unary(inputs):
        result: Tensor = handle_torch_function(lean_relu6, (inputs,), inputs)
        return result
    if not inputs.requires_grad:
        return inputs.clamp_(0.0, 6.0)
    output: Tensor = _LeanReLU6.apply(inputs)
    return output


# Every way to call a rectifier, and where it ends. Modules (nn.ReLU, nn.ReLU6) call these functionals, so a mode that knows
# these catches them as well.
CEILINGS: dict[Callable[..., Any], float] = {
    F.relu: float("inf"),
    F.relu_: float("inf"),
    torch.relu: float("inf"),
    torch.relu_: float("inf"),
    Tensor.relu: float("inf"),
    Tensor.relu_: float("inf"),
    F.relu6: 6.0,
    lean_relu6: 6.0,
}


class LeanReLU6(nn.Module):
    """What stands in for an `nn.ReLU6`."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Any shape, changed in place."""
        return lean_relu6(inputs)


def ceiling_of(module: nn.Module) -> float | None:
    """Where the rectifier that `module` is ends, infinity for a ReLU; None for everything else."""
    return {nn.ReLU: float("inf"), nn.ReLU6: 6.0, LeanReLU6: 6.0}.get(type(module))


def rectify_in_place(module: nn.Module, pairs: Iterable[tuple[str, str]], keep: Iterable[str] = ()) -> nn.Module:
    """`module` with the ReLU or ReLU6 of each (producer, ReLU) of `pairs` in place: nothing else looks at the map before it.

    Every ReLU6 that is in place already loses its copy as well. Producers in `keep` are looked at, and left alone, as are
    modules with hooks of the user's. Changes `module`.
    """
    kept = set(keep)
    for part in list(module.modules()):
        if type(part) is nn.ReLU6 and part.inplace and not hooked(part):
            put(module, part, LeanReLU6())
    for producer, name in pairs:
        part = module.get_submodule(name)
        if producer in kept or hooked(part) or hooked(module.get_submodule(producer)):
            continue
        if type(part) is nn.ReLU:
            part.inplace = True
        elif type(part) is nn.ReLU6:
            put(module, part, LeanReLU6())
    return module
