"""Statistics of feature maps: what of them does not depend on where, and the distances between two sets of it.

A layer's style is described by its first and second moments (Gatys, Ecker and Bethge 2015). They are sums over positions, so
they add: over tiles, over regions, over pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from lanterna.errors import InputError

__all__ = [
    "DISTANCES",
    "Gaussian",
    "Moments",
    "Normalisation",
    "StatisticName",
    "gram",
    "gram_distance",
    "mean_variance_distance",
    "means_distance",
    "scrambled",
    "wasserstein_distance",
]

StatisticName = Literal["gram", "mean_variance", "wasserstein", "means", "histogram"]

# What the sum over positions of f f^T is divided by. "positions": N, the only one that is the same at every size.
# "all": C * N (Johnson et al. 2016; neural-style-pt). "gatys": 1, the sum itself, and the loss over 4 * N^2 * C^2.
Normalisation = Literal["positions", "all", "gatys"]

# Of a target, below this share of its largest eigenvalue a direction counts as empty.
_EMPTY = 1e-6

# Roots count as no smaller than this share of the target's variance where the slope is divided by them. It has to be small:
# most directions of a map have a thousandth of the largest one's variance and less, and what has no slope fades.
_LEAST_ROOT = 1e-5


class _SecondMoment(torch.autograd.Function):
    """X^T (w * X). By hand: the result is symmetric, so its gradient needs one product instead of two."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weights: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weights)
        weighted = rows if weights is None else rows * weights[:, None]
        product: Tensor = rows.T @ weighted
        return product

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        rows, weights = ctx.saved_tensors
        slope = rows @ (grads[0] + grads[0].T)
        return (slope if weights is None else slope * weights[:, None]), None


def as_rows(features: Tensor) -> Tensor:
    """A map (1, C, H, W) as one row for each position, (H * W, C)."""
    # Not features[0]: on the way back that takes a map of zeros.
    return features.permute(0, 2, 3, 1).flatten(0, 2)


@dataclass(frozen=True)
class Moments:
    """Sums over positions of one layer: `count`, `first` (C,) and `second` (C, C), the sum of f f^T."""

    count: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def of(cls, features: Tensor, weights: Tensor | None = None) -> "Moments":
        """The moments of a map (1, C, H, W); `weights` (H, W), at least 0, say how much each position counts.

        >>> Moments.of(torch.ones(1, 2, 3, 5)).mean
        tensor([1., 1.])
        """
        rows = as_rows(features)
        flat = None if weights is None else weights.reshape(-1).to(rows)
        count = rows.new_tensor(float(len(rows))) if flat is None else flat.sum()
        first = rows.sum(0) if flat is None else flat @ rows
        return cls(count, first, _SecondMoment.apply(rows, flat))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.count + other.count, self.first + other.first, self.second + other.second)

    def scaled(self, factor: float) -> "Moments":
        """Per position, times `factor`: what mixes of several pictures are made of, whatever their sizes."""
        share = factor / self.count
        return Moments(self.count * share, self.first * share, self.second * share)

    @property
    def mean(self) -> Tensor:
        """(C,)."""
        return self.first / self.count

    @property
    def raw(self) -> Tensor:
        """The mean of f f^T, (C, C): the Gram matrix, per position."""
        return self.second / self.count

    @property
    def covariance(self) -> Tensor:
        """(C, C)."""
        return self.raw - torch.outer(self.mean, self.mean)

    @property
    def variance(self) -> Tensor:
        """(C,)."""
        return (self.raw.diagonal() - self.mean.square()).clamp(min=0)

    @property
    def energy(self) -> Tensor:
        """The mean of |f|^2: the scale that relative distances are in."""
        return self.raw.diagonal().sum().clamp(min=1e-12)


def gram(moments: Moments, normalisation: Normalisation = "positions") -> Tensor:
    """The Gram matrix (C, C) under one of the customary normalisations."""
    if normalisation == "positions":
        return moments.raw
    return moments.raw / len(moments.first) if normalisation == "all" else moments.second


def gram_distance(found: Moments, target: Moments, normalisation: Normalisation | None = None) -> Tensor:
    """The squared distance of two Gram matrices.

    Without a normalisation it is relative: over the target's own squared length, 1 for a picture without any features. With
    one, it is the published value: the mean squared difference for "positions" and "all" (neural-style-pt's loss), and
    Gatys's sum over 4 N^2 C^2 for "gatys", with N of `found`.
    """
    if normalisation is None:
        return (found.raw - target.raw).square().sum() / target.raw.square().sum().clamp(min=1e-24)
    if normalisation == "gatys":
        difference = found.second - target.raw * found.count
        return difference.square().sum() / (4 * found.count**2 * len(found.first) ** 2)
    return (gram(found, normalisation) - gram(target, normalisation)).square().mean()


def means_distance(found: Moments, target: Moments) -> Tensor:
    """Squared distance of the means, over the target's energy: the control, no correlation in it."""
    distance: Tensor = (found.mean - target.mean).square().sum() / target.energy
    return distance


def mean_variance_distance(found: Moments, target: Moments) -> Tensor:
    """Squared distances of means and of standard deviations, over the target's energy (Li et al. 2017)."""
    floor = 1e-8 * target.energy
    spread = ((found.variance + floor).sqrt() - (target.variance + floor).sqrt()).square().sum()
    return means_distance(found, target) + spread / target.energy


class _TraceRoot(torch.autograd.Function):
    """tr sqrt(R^T X R) for a symmetric X (C, C), with R (C, r).

    By hand: autograd's gradient of an eigendecomposition divides by the gaps between eigenvalues, which here are often none.
    In double precision, for in single LAPACK does not always come to an end.
    """

    @staticmethod
    def forward(ctx: Any, root: Tensor, matrix: Tensor) -> Tensor:
        product: Tensor = root.T @ matrix.double() @ root
        values, vectors = torch.linalg.eigh((product + product.T) / 2)
        roots = values.clamp(min=0).sqrt()
        floor = _LEAST_ROOT * root.square().sum()
        side = root @ vectors
        ctx.save_for_backward((side / roots.clamp(min=floor) @ side.T / 2).to(matrix))
        total: Tensor = roots.sum().to(matrix)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        (slope,) = ctx.saved_tensors
        return None, grads[0] * slope


class Gaussian:
    """A target of `wasserstein_distance` with the root of its covariance, found once.

    `root` (C, r) has a column for each direction that is not empty: r is at most the number of positions, so that small
    pictures are cheap. `root @ root.T` is the covariance.
    """

    def __init__(self, target: Moments) -> None:
        self.mean, self.energy = target.mean, target.energy
        values, vectors = torch.linalg.eigh(target.covariance.double())
        kept = values > _EMPTY * values.max().clamp(min=1e-30)
        self.root = vectors[:, kept] * values[kept].sqrt()
        self.spread = values[kept].sum().to(self.mean)


def wasserstein_distance(found: Moments, target: Moments | Gaussian) -> Tensor:
    """Squared 2-Wasserstein distance of the Gaussians with these means and covariances, over the target's energy.

    |m - m'|^2 + tr(S + S' - 2 (S'^1/2 S S'^1/2)^1/2) (Dowson and Landau 1982). 1 is about a picture without any features.
    """
    goal = target if isinstance(target, Gaussian) else Gaussian(target)
    covariance = found.covariance
    shared: Tensor = _TraceRoot.apply(goal.root, covariance)
    spread = covariance.diagonal().sum() + goal.spread - 2 * shared
    distance: Tensor = ((found.mean - goal.mean).square().sum() + spread) / goal.energy
    return distance


DISTANCES: dict[str, Callable[[Moments, Moments], Tensor]] = {
    "gram": gram_distance,
    "mean_variance": mean_variance_distance,
    "wasserstein": wasserstein_distance,
    "means": means_distance,
}


def scrambled(target: Moments, generator: torch.Generator) -> Moments:
    """The same numbers in another order: each channel keeps its own energy, and correlates with others than before.

    The control for style: everything is there but which maps go together. Raises InputError for a single channel.
    """
    channels = len(target.first)
    if channels < 2:
        raise InputError("a layer of one channel has no correlation to scramble")
    covariance = target.covariance
    order = torch.randperm(channels, generator=generator)
    deviation = target.variance.clamp(min=1e-12).sqrt()
    correlation = covariance / torch.outer(deviation, deviation)
    mixed = correlation[order][:, order] * torch.outer(deviation, deviation)
    mixed.diagonal().copy_(target.variance)
    return Moments(target.count, target.first, (mixed + torch.outer(target.mean, target.mean)) * target.count)
