"""What `invert` knows of pictures before it looks at a layer: smooth, near grey, in the colours of photographs.

How much of it, goes by how little a layer says.
"""

import math
from typing import Literal

from lanterna.objectives import Objective
from lanterna.pictures.colour import natural_colours
from lanterna.priors import alpha_norm, fading, l2, mixed, total_variation, where
from lanterna.techniques.invert_even import EvenParts

__all__ = ["COLOURS", "PriorName", "blindness", "even_prior", "prior_of"]

PriorName = Literal["fourier", "tv", "alpha", "none"]

# First and last weight of each prior for what sees a point, and for what sees the whole picture; between them by the
# share of the picture's side that a layer sees. Deep layers say less, so that the prior has to say more.
WEIGHTS: dict[PriorName, tuple[tuple[float, float], tuple[float, float]]] = {
    "fourier": ((10.0, 0.1), (100.0, 3.0)),
    "alpha": ((1.0, 0.1), (1.0, 0.1)),
}

# The same for total variation of pixels: the first weight for what sees a point and for what sees the whole picture, and the
# last for what sees the whole. Both rise beyond that too, where the receptive field still tells how deep a layer is. Layers
# with fewer numbers than the picture get less, as they are harder to match; those with more, which say it all by themselves,
# get less of the last alone: less of the first leads into grain in dark, even parts.
TV_FIRST, TV_LAST = (10.0, 800.0), 115.0
# The share beyond which they rise no more: the last layers would no longer be matched.
FARTHEST = 7.0

# First and last weight of the squared distance to grey, beside total variation. Pictures that differ from the photograph in
# colour match features as well, and grey is nearer to any of them than a wrong colour is. Three times as much leaves deep
# layers of efficientnet_lite0 grey.
GREY = (0.3, 0.03)

# First and last weight of the squared distance to the colours of even parts. It has to decide between colours while they are
# looked for, and to hold them to the end: let go of, descent finds others that match as well. Both fall to nothing for what
# sees the whole picture, where few positions are left to tell, and for what sees so little that it tells colours better than
# those that were tried; the first is there in full from a receptive field of EVEN_FAR pixels on. From FAR pixels on the
# colours found are poor, as a field of that size is hardly ever even, and may only give a direction to the first steps.
EVEN, EVEN_FAR, EVEN_DEEP = (170.0, 7.5), 40, (20.0, 0.1)

# Deep layers hardly say what the colour is, so there steps and prior know the colours of photographs: light and dark go
# together over the channels. Steps are mixed by this power of their covariance, total variation is measured by its inverse.
# By depth: in full from a receptive field of FAR pixels on. The whole power turns things black at layers that still tell.
COLOURS, FAR = 0.5, 64


def _weights(prior: PriorName, share: float, told: float) -> tuple[float, float]:
    """First and last weight of the prior; the arguments are those of `prior_of`."""
    within, beyond = min(1.0, share), min(max(1.0, share), FARTHEST)
    if prior == "tv":
        (shallow, deep), few = TV_FIRST, math.sqrt(min(1.0, told))
        first = shallow ** (1 - within) * deep**within * beyond**1.3 * few
        return first, TV_LAST * within**1.6 * beyond**0.8 * few / math.sqrt(max(1.0, told))
    first, last = (low ** (1 - within) * high**within for low, high in zip(*WEIGHTS[prior], strict=True))
    return first, last


def blindness(receptive_field: tuple[int, int] | None) -> float:
    """How little a layer says of colours, in [0, 1]: by what a position sees in pixels, whatever the picture's size."""
    return 1.0 if receptive_field is None else min(1.0, max(receptive_field) / FAR) ** 2


def prior_of(name: PriorName, weight: float, share: float, told: float, blind: float, channels: int) -> Objective:
    """The penalty for a layer that sees `share` of the picture's side and is `blind` to colours; not for "none".

    `weight` is a factor of all of it; `told` how many numbers the layer has for each of the picture's, which has `channels`.
    """
    first, last = (weight * part for part in _weights(name, share, told))
    if name == "alpha":
        return fading(alpha_norm(), first, last)
    smooth, grey = total_variation(2.0), tuple(weight * part for part in GREY)
    if name == "tv":
        grey = tuple(blind * part for part in grey)
        if channels == 3:
            smooth = mixed(smooth, natural_colours(-COLOURS * blind / 2))
    return fading(smooth, first, last) + fading(l2(), *grey)


def even_prior(parts: EvenParts, weight: float, share: float, blind: float) -> Objective:
    """The penalty for other colours in even parts than those found; the arguments are those of `prior_of`."""
    if blind < 1:
        first, last = ((1 - share) * part for part in EVEN)
        first, last = first * min(1.0, blind * (FAR / EVEN_FAR) ** 2), last * blind
    else:
        first, last = EVEN_DEEP[0], EVEN_DEEP[1] * share**2
    return fading(where(parts.trust, parts.colours), weight * first, weight * last)
