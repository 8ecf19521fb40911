"""What a unit of the first layers wants, exactly: the patch in [0, 1] that no other exceeds.

A convolution, with or without a normalisation after it, weighs the pixels that it sees: each is best at 1 where its weight is
positive and at 0 where it is negative. Whatever rises with that sum, as a rectifier does, wants the same patch. Ascent over
the whole picture finds something else for such a unit: neighbours overlap, so their mean is highest for a flat color.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.networks.network import LOGITS, Network
from lanterna.networks.redirect import RedirectedReLU
from lanterna.patterns.fields import Place, crop, place
from lanterna.techniques.units import Unit

__all__ = ["ExactUnit", "enlarged", "exact_units"]

# A unit that sees a larger share of the picture's side is left to ascent: its neighbours see nearly the same.
_LARGEST_SHARE = 0.25

# How far from 1 the cosine between gradients at different pictures may be for a unit that weighs pixels: rounding.
_TURNED = 1e-4

# Pictures, and as many negatives of them, at which the gradient is asked for.
_PICTURES = 3

# A weight below this share of the largest is none: rounding.
_NONE = 1e-5


@dataclass(frozen=True)
class ExactUnit:
    """What one position of a unit weighs and wants.

    `weights` (1, C, h, w) are signed, `patch` (1, C, h, w) in [0, 1] is the best one. `activation` is that of the position
    with the patch there on grey, `start` that with grey alone, and `sample` the highest at any place of the sample pictures,
    None where the network takes no pictures.
    """

    weights: Tensor
    patch: Tensor
    activation: float
    start: float
    sample: float | None

    def filter(self) -> Tensor:
        """The weights as a picture: grey is none."""
        return 0.5 + 0.5 * self.weights / self.weights.abs().max()


def exact_units(
    network: Network, units: Sequence[Unit], size: tuple[int, int], *, minimize: bool = False
) -> list[ExactUnit | None]:
    """For each unit what it wants in pictures of `size`; None for one that does more than weigh pixels.

    `minimize` asks for what excites it least. That a unit weighs pixels is measured: its gradient has the same direction at
    all pictures.
    """
    found: list[ExactUnit | None] = [None] * len(units)
    for layer in dict.fromkeys(unit.layer for unit in units):
        here = [i for i, unit in enumerate(units) if unit.layer == layer and _sees_little(network, layer, size)]
        if here:
            for i, one in zip(here, _of_layer(network, [units[i] for i in here], size, minimize), strict=True):
                found[i] = one
    return found


def _sees_little(network: Network, layer: str, size: tuple[int, int]) -> bool:
    if layer == LOGITS:
        return False
    seen, shape = network.layer(layer).receptive_field, network.layer(layer).shape
    return seen is not None and len(shape) == 3 and max(seen) <= _LARGEST_SHARE * min(size)


def _of_layer(network: Network, units: Sequence[Unit], size: tuple[int, int], minimize: bool) -> list[ExactUnit | None]:
    layer = network.layer(units[0].layer)
    grey = torch.full((1, network.channels, *size), 0.5)
    rows, columns = network.capture(grey, [layer.name])[layer.name].shape[2:]
    row, column = rows // 2, columns // 2
    where = place(layer, row, column, size)
    if where is None or where.inside(size) != where:
        return [None] * len(units)
    weights = _weights(network, units, size, where, (row, column))
    signed = [None if one is None else (-one if minimize else one) for one in weights]
    patches = [None if one is None else _best(one) for one in signed]
    shown = [grey, *(_placed(grey, patch, where) for patch in patches if patch is not None)]
    values = [network.capture(picture, [layer.name])[layer.name][0, :, row, column] for picture in shown]
    samples = _highest(network, layer.name, size, minimize)
    found: list[ExactUnit | None] = []
    after = iter(values[1:])
    for unit, weight, patch in zip(units, weights, patches, strict=True):
        if weight is None or patch is None:
            found.append(None)
            continue
        sample = None if samples is None else float(samples[unit.channel])
        found.append(ExactUnit(weight, patch, float(next(after)[unit.channel]), float(values[0][unit.channel]), sample))
    return found


def _weights(
    network: Network, units: Sequence[Unit], size: tuple[int, int], where: Place, position: tuple[int, int]
) -> list[Tensor | None]:
    """The weight of each pixel for each unit at `position`, up to a positive factor; None where pictures change it."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand((_PICTURES, network.channels, *size), generator=generator)
    given = torch.cat([noise, 1 - noise]).to(network.device).requires_grad_(True)
    layer = units[0].layer
    found: list[Tensor | None] = []
    # A rectifier that is off hides the weights; redirected, it passes what would push it up.
    everywhere = torch.ones(len(given), dtype=torch.bool, device=network.device)
    with network.reading([layer]) as read, RedirectedReLU(everywhere):
        features = read(given)[layer]
        for unit in units:
            value = features[:, unit.channel, position[0], position[1]].sum()
            (gradient,) = torch.autograd.grad(-value, given, retain_graph=True)
            found.append(_common(crop(-gradient.cpu(), where, 0.0)))
    return found


def _common(gradients: Tensor) -> Tensor | None:
    """The direction (1, C, h, w) that all of the gradients (N, C, h, w) have which are not zero; None for none."""
    flat = gradients.flatten(1)
    lengths = flat.norm(dim=1)
    longest = int(lengths.argmax())
    live = lengths > 1e-3 * lengths[longest]
    if lengths[longest] == 0 or int(live.sum()) < 2:
        return None
    cosines = flat[live] @ flat[longest] / (lengths[live] * lengths[longest])
    return gradients[longest : longest + 1] if bool((cosines > 1 - _TURNED).all()) else None


def _best(weights: Tensor) -> Tensor:
    """1 where a weight is positive, 0 where it is negative, grey where there is none."""
    none = weights.abs() <= _NONE * weights.abs().max()
    return torch.where(none, torch.tensor(0.5), (weights > 0).float())


def _placed(grey: Tensor, patch: Tensor, where: Place) -> Tensor:
    picture = grey.clone()
    picture[:, :, where.top : where.bottom + 1, where.left : where.right + 1] = patch
    return picture


def _highest(network: Network, layer: str, size: tuple[int, int], minimize: bool) -> Tensor | None:
    """Of each unit of the layer the highest activation (the lowest, to `minimize`) at any place of the samples."""
    if network.channels not in (1, 3):
        return None
    sign = -1 if minimize else 1
    found = [(sign * network.capture(sample, [layer])[layer]).amax((0, 2, 3)) for sample in pictures_io.samples_at(size)]
    return sign * torch.stack(found).amax(0).cpu()


def enlarged(patch: Tensor, size: tuple[int, int]) -> Tensor:
    """The patch (1, C, h, w) by a whole factor, so that it fills (1, C, *size); what is longer has grey beside it."""
    factor = max(1, ceil(min(size[0] / patch.shape[2], size[1] / patch.shape[3])))
    large = patch.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    made = torch.full((*patch.shape[:2], *size), 0.5)
    height, width = (min(side, there) for side, there in zip(size, large.shape[2:], strict=True))
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    from_top, from_left = (large.shape[2] - height) // 2, (large.shape[3] - width) // 2
    made[:, :, top : top + height, left : left + width] = large[
        :, :, from_top : from_top + height, from_left : from_left + width
    ]
    return made
