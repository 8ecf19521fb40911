"""What `invert` knows of photographs where a layer sees the whole picture: contrast, colours, and how smooth they are.

Such a layer says what there is and hardly how bright it is. A prior that costs contrast, as total variation does, ends in
brownish grey there, with no smaller feature error. So contrast and colours are those of photographs in the mean, of the
sample pictures and never of the one that is recreated, and smoothness is measured relative to contrast.
"""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.objectives import PICTURE, Objective
from lanterna.pictures.colour import luminance
from lanterna.priors import fading, total_variation

__all__ = ["moments", "natural_moments", "natural_prior", "relative_variation"]

# First and last weight of the squared distance to the moments of photographs.
MOMENTS = (0.3, 0.03)

# First and last weight of total variation relative to contrast. It is about 0.2 in photographs at 160 px.
VARIATION = (0.2, 0.05)

# Variances are at least this: below a level of 8 bits there is no contrast to speak of.
_LEAST = 1 / 255**2


@cache
def natural_moments(size: tuple[int, int], channels: int) -> tuple[Tensor, Tensor]:
    """The mean colour (C,) and the covariance of colours (C, C) of a photograph of `size`: means over the samples."""
    samples = pictures_io.samples_at(size)
    flat = [(luminance(sample) if channels == 1 else sample)[0].flatten(1) for sample in samples]
    covariances = [torch.cov(colours).view(channels, channels) for colours in flat]
    return torch.stack([colours.mean(1) for colours in flat]).mean(0), torch.stack(covariances).mean(0)


def moments(mean: Tensor, covariance: Tensor) -> Objective:
    """Squared distance of a picture's mean colour and covariance of colours to these, in units of the covariance.

    0 where they are the same, and the number of channels for an even picture of the mean colour.
    """
    variances, axes = torch.linalg.eigh(covariance)
    whitening = (axes * variances.clamp(min=_LEAST).rsqrt()).T

    def value(features: Mapping[str, Tensor]) -> Tensor:
        colours = features[PICTURE].flatten(2)
        matrix = whitening.to(colours)
        centre = colours.mean(2, keepdim=True)
        rows = matrix @ (colours - centre)
        shape = rows @ rows.transpose(1, 2) / rows.shape[2]
        away = matrix @ (centre - mean.to(colours).view(1, -1, 1))
        unlike: Tensor = (shape - torch.eye(len(matrix)).to(shape)).square().sum((1, 2)) + away.square().sum((1, 2))
        return unlike

    return Objective(value, frozenset([PICTURE]), "moments")


def relative_variation() -> Objective:
    """Squared total variation over the variance: what is rough at any contrast."""
    variation = total_variation(2.0)

    def value(features: Mapping[str, Tensor]) -> Tensor:
        contrast = features[PICTURE].flatten(2).var(2).mean(1)
        return variation(features) / contrast.clamp(min=_LEAST)

    return Objective(value, frozenset([PICTURE]), "variation over variance")


def natural_prior(size: tuple[int, int], channels: int, weight: float) -> Objective:
    """The penalty for what is unlike photographs of `size` in the mean."""
    first, last = (weight * part for part in VARIATION)
    held, let = (weight * part for part in MOMENTS)
    return fading(relative_variation(), first, last) + fading(moments(*natural_moments(size, channels)), held, let)
