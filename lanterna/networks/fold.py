"""Batch normalisation folded into the convolution before it: on a frozen network the same function, one operation less."""

import copy
from collections import OrderedDict
from collections.abc import Iterable

import torch
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import Tensor, nn

from lanterna.networks.surgery import hooked, put

__all__ = ["fold", "folded_affine"]

# Exact types only: a subclass may standardise its weights or normalise differently, and folding would then be wrong.
_CONVOLUTIONS = (nn.Conv2d, Conv2dSame)
_NORMS = (nn.BatchNorm2d, BatchNormAct2d)


def _can_fold(conv: nn.Module, norm: nn.Module) -> bool:
    plain = type(conv) in _CONVOLUTIONS and type(norm) in _NORMS
    return plain and not hooked(conv) and not hooked(norm) and getattr(norm, "running_mean", None) is not None


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A normalisation in evaluation mode is x * scale + shift for each channel; both (C,), float64."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    scale = scale if norm.weight is None else scale * norm.weight.detach().double()
    shift = -norm.running_mean.double() * scale
    return scale, shift if norm.bias is None else shift + norm.bias.detach().double()


def folded_affine(module: nn.Module, conv_name: str, norm_name: str) -> tuple[Tensor, Tensor] | None:
    """(scale, shift), each (C,) float64: folded, the convolution gives its own output times scale, plus shift.

    None where the pair is not folded, and where a scale is too small to be divided by without loss of precision.
    """
    conv, norm = module.get_submodule(conv_name), module.get_submodule(norm_name)
    if not _can_fold(conv, norm):
        return None
    assert isinstance(norm, nn.BatchNorm2d)
    scale, shift = _affine(norm)
    return (scale, shift) if bool((scale.abs() > 1e-4 * scale.abs().amax()).all()) else None


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    with torch.no_grad():
        scale, shift = _affine(norm)
        bias = shift if conv.bias is None else shift + conv.bias.double() * scale
        weight = conv.weight.double() * scale.view(-1, 1, 1, 1)
        folded = copy.copy(conv)
        # A shallow copy shares its dictionary of parameters with the original: give it one of its own.
        folded._parameters = dict(conv._parameters)
        folded._parameters["weight"] = nn.Parameter(weight.to(conv.weight), requires_grad=False)
        folded._parameters["bias"] = nn.Parameter(bias.to(conv.weight), requires_grad=False)
    return folded


def fold(module: nn.Module, pairs: Iterable[tuple[str, str]], keep: Iterable[str] = ()) -> nn.Module:
    """A copy of `module` with each (convolution, batch normalisation) of `pairs` made one convolution.

    The copy shares all weights but the folded ones and has the same layer names; the output of a normalisation layer is what
    it was. The output of a folded convolution is not: those in `keep` are left alone. Exact to float32 rounding.
    """
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    clone = copy.deepcopy(module, shared)
    kept = set(keep)
    for conv_name, norm_name in pairs:
        conv, norm = clone.get_submodule(conv_name), clone.get_submodule(norm_name)
        if conv_name in kept or not _can_fold(conv, norm):
            continue
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        put(clone, conv, _folded(conv, norm))
        # timm's norms carry their activation as a child; what is left of the norm is those children, by the same names.
        rest = OrderedDict(norm.named_children())
        put(clone, norm, nn.Sequential(rest) if rest else nn.Identity())
    return clone
