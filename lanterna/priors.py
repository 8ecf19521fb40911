"""What natural pictures are like, as penalties: objectives of the picture itself, to be subtracted."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lanterna.objectives import PICTURE, PROGRESS, Objective
from lanterna.pictures.colour import mixed_colours

__all__ = ["alpha_norm", "beyond", "fading", "high_frequency", "l1", "l2", "mixed", "total_variation", "where"]


def _prior(name: str, value: Callable[[Tensor], Tensor]) -> Objective:
    return Objective(lambda features: value(features[PICTURE]), frozenset([PICTURE]), name)


def total_variation(power: float = 1.0) -> Objective:
    """Mean over pixels of (dx^2 + dy^2) ** (power / 2); power 1 keeps edges, 2 is smooth (Mahendran and Vedaldi 2015)."""

    def value(pictures: Tensor) -> Tensor:
        dx = (pictures[..., :-1, 1:] - pictures[..., :-1, :-1]).square()
        dy = (pictures[..., 1:, :-1] - pictures[..., :-1, :-1]).square()
        # The root has no slope at zero, where flat regions are.
        return ((dx + dy + 1e-8) ** (power / 2)).flatten(1).mean(1)

    return _prior(f"tv{power:g}", value)


def mixed(prior: Objective, colours: Tensor) -> Objective:
    """The prior of the pictures whose channels are mixed by `colours` (C, C): what it weighs in each direction of colour."""

    def value(features: Mapping[str, Tensor]) -> Tensor:
        return prior({**features, PICTURE: mixed_colours(colours, features[PICTURE])})

    return Objective(value, prior.layers, f"{prior.name}, colours mixed")


def alpha_norm(alpha: float = 6.0) -> Objective:
    """Mean of |picture - grey| ** alpha: keeps values off the ends (Mahendran and Vedaldi 2015, alpha 6)."""
    return _prior(f"alpha{alpha:g}", lambda pictures: (pictures - 0.5).abs().pow(alpha).flatten(1).mean(1))


def beyond() -> Objective:
    """Mean squared distance of the values to [0, 1]: for optimisers that do not keep them there."""
    return _prior("beyond", lambda pictures: (pictures - pictures.detach().clamp(0, 1)).square().flatten(1).mean(1))


def l1() -> Objective:
    """Mean distance to grey: leaves grey what nothing asks for."""
    return _prior("l1", lambda pictures: (pictures - 0.5).abs().flatten(1).mean(1))


def l2(target: Tensor | float = 0.5) -> Objective:
    """Mean squared distance to `target`: grey, or pictures (B, C, H, W) of the canvas's own size."""
    return _prior("l2", lambda pictures: (pictures - target).square().flatten(1).mean(1))


def where(mask: Tensor, target: Tensor) -> Objective:
    """Mean squared distance to `target` (B, C, H, W), each pixel by its weight in `mask` (B, 1, H, W), at least 0.

    The mean is over all pixels, so that one pixel is held as strongly in a small mask as in a large one. With a warped frame
    of a clip and the mask of what can be trusted: the temporal loss of Ruder, Dosovitskiy and Brox 2016.
    """
    return _prior("where", lambda pictures: ((pictures - target).square() * mask).flatten(1).mean(1))


class _Roughness(torch.autograd.Function):
    """Mean squared Laplacian. By hand, because autograd fills a whole picture with zeros for every shifted slice."""

    @staticmethod
    def forward(ctx: Any, pictures: Tensor) -> Tensor:
        around = pictures[..., :-2, 1:-1] + pictures[..., 2:, 1:-1]
        around += pictures[..., 1:-1, :-2]
        around += pictures[..., 1:-1, 2:]
        laplacian = torch.sub(pictures[..., 1:-1, 1:-1], around, alpha=0.25)
        ctx.save_for_backward(laplacian)
        ctx.shape = pictures.shape
        return laplacian.square().flatten(1).mean(1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (laplacian,) = ctx.saved_tensors
        weight = grads[0] * (2 / laplacian[0].numel())
        pull = laplacian * weight.view(-1, 1, 1, 1)
        gradient: Tensor = pull.new_zeros(ctx.shape)
        gradient[..., 1:-1, 1:-1] = pull
        for rows, columns in ((slice(None, -2), slice(1, -1)), (slice(2, None), slice(1, -1))):
            gradient[..., rows, columns].sub_(pull, alpha=0.25)
            gradient.transpose(-1, -2)[..., rows, columns].sub_(pull.transpose(-1, -2), alpha=0.25)
        return gradient


def high_frequency() -> Objective:
    """Mean squared Laplacian: what grain has and shapes have not."""

    def value(pictures: Tensor) -> Tensor:
        roughness: Tensor = _Roughness.apply(pictures)
        return roughness

    return _prior("high_frequency", value)


def fading(prior: Objective, first: float, last: float) -> Objective:
    """The prior times a weight that goes from `first` to `last`, both positive, by the same factor in every step.

    Strong at first, when it decides which of the many pictures is looked for; weak at the end, when it would hold the
    picture back from what the features say.
    """

    def value(features: Mapping[str, Tensor]) -> Tensor:
        weight: float = first * (last / first) ** float(features[PROGRESS])
        return weight * prior(features)

    return Objective(value, prior.layers | {PROGRESS}, f"{prior.name} {first:g} to {last:g}")
