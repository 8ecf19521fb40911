"""The pattern a unit sees, projected back to pixels: deconvnet, guided backpropagation, gradient, gradient times input.

They differ only in what a rectifier lets pass on the way back. Rectifiers are caught as they are called, as modules or as
functions, by a mode that is active in this thread only: the module is not touched.
"""

import copy
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lanterna.networks.network import Network
from lanterna.networks.rectify import CEILINGS
from lanterna.pictures.colour import luminance

__all__ = ["Method", "Projection", "alike", "project", "randomised", "values_at"]

Method = Literal["deconvnet", "guided", "gradient", "gradient-input"]

# Smooth rectifiers: their own gradient, of which guided backpropagation and deconvnet keep what is positive.
_SMOOTH = frozenset({F.silu, F.gelu, F.elu, F.hardswish, F.mish, F.softplus, F.leaky_relu, F.selu})


class _Rectifier(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, ceiling: float, method: Method) -> Tensor:
        # Out of place: whoever holds the input sees it as it was.
        outputs = inputs.clamp(0.0, ceiling)
        ctx.save_for_backward(outputs)
        ctx.method = method
        return outputs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (outputs,) = ctx.saved_tensors
        grad = grads[0]
        if ctx.method in ("deconvnet", "guided"):
            grad = grad.clamp(min=0)
        if ctx.method != "deconvnet":
            # A ReLU6 at its ceiling passes, as a ReLU does there: else the units that fire most would show nothing.
            grad = grad * (outputs > 0)
        return grad, None, None


class _Positive(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        # A copy: what comes next may work in place, which a view does not allow.
        return inputs.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0].clamp(min=0)


class _Projecting(TorchFunctionMode):
    """Active inside `with`, in this thread, for modules and functionals; nothing is patched."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self._method = method

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = args[0] if args else kwargs.get("input")
        if not isinstance(inputs, Tensor) or not inputs.requires_grad:
            return func(*args, **kwargs)
        if func in _SMOOTH and self._method in ("deconvnet", "guided"):
            return func(_Positive.apply(inputs), *args[1:], **{name: v for name, v in kwargs.items() if name != "input"})
        ceiling = CEILINGS.get(func)
        if func is F.hardtanh and kwargs.get("min_val", args[1] if len(args) > 1 else None) == 0.0:
            ceiling = float(kwargs.get("max_val", args[2] if len(args) > 2 else 1.0))
        if ceiling is None:
            return func(*args, **kwargs)
        return _Rectifier.apply(inputs, ceiling, self._method)


@dataclass(frozen=True)
class Projection:
    """`pattern` (B, C, H, W), signed, and `activation` (B,) of the unit at its place in each picture."""

    pattern: Tensor
    activation: Tensor


def values_at(features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """All channels (B, C) of features (B, C, ...) at one position of each picture; what is no map lies in its first row."""
    pictures = torch.arange(len(features))
    if features.ndim == 4:
        return features[pictures, :, rows, columns]
    return features[pictures, :, columns] if features.ndim == 3 else features


def project(
    network: Network, pictures: Tensor, layer: str, channel: int, rows: Tensor, columns: Tensor, method: Method = "guided"
) -> Projection:
    """What of `pictures` (B, C, H, W) in [0, 1] the unit at (`rows`, `columns`), each (B,), responds to, back in pixels.

    deconvnet: Zeiler and Fergus 2014, where maxima go back to where they came from and each rectifier is applied to what
    comes back. guided: Springenberg et al. 2015, both that and what the rectifier did forward. gradient: Simonyan et al.
    2014. gradient-input: times the picture's distance from grey. A ReLU6 goes back as a ReLU without a ceiling; of smooth
    rectifiers, which the papers do not know, their own gradient is used where the papers use the step. A grey network gets
    grey pictures, and one channel comes back.
    """
    seen = luminance(pictures) if network.channels == 1 and pictures.shape[1] == 3 else pictures
    shown = seen.detach().to(network.device).requires_grad_(True)
    with network.reading([layer]) as read, _Projecting(method):
        values = values_at(read(shown)[layer], rows, columns)[:, channel]
        (pattern,) = torch.autograd.grad(values.sum(), shown)
    if method == "gradient-input":
        pattern = pattern * (shown.detach() - 0.5)
    return Projection(pattern.detach().cpu(), values.detach().cpu())


def randomised(network: Network, layer: str, generator: torch.Generator) -> Network:
    """The network with the weights of the upper half of the layers up to `layer` shuffled, each among itself.

    Adebayo et al., "Sanity Checks for Saliency Maps", 2018: a projection that stays the same does not show what these layers
    have learnt.
    """
    names = [found.name.partition("#")[0] for found in network.layers()]
    upto = names[: [found.name for found in network.layers()].index(network.layer(layer).name) + 1]
    changed = copy.copy(network)
    changed.module = copy.deepcopy(network.module)
    changed._optimised = {}
    parts = dict(changed.module.named_modules())
    weighted = [name for name in dict.fromkeys(upto) if name in parts and isinstance(parts[name], nn.Conv2d | nn.Linear)] or (
        [name for name, part in parts.items() if isinstance(part, nn.Conv2d | nn.Linear)]
    )
    for name in weighted[len(weighted) // 2 :]:
        weight = parts[name].weight
        assert isinstance(weight, Tensor)
        order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
        # In place of its values: the memory layout stays what it was.
        weight.data.copy_(weight.data.flatten()[order].view(weight.shape))
    return changed


def alike(one: Tensor, other: Tensor) -> Tensor:
    """(B,) correlation of the strength at each pixel, from 0, unrelated, to 1; both (B, C, H, W)."""
    flat = [pattern.abs().sum(1).flatten(1) for pattern in (one, other)]
    centred = [values - values.mean(1, keepdim=True) for values in flat]
    norm = centred[0].norm(dim=1) * centred[1].norm(dim=1)
    correlation: Tensor = (centred[0] * centred[1]).sum(1) / norm.clamp(min=1e-30)
    return correlation
