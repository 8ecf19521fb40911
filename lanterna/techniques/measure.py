"""The numbers beside a picture: what its unit answers to it, to its start, and to real photographs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.networks.network import Network
from lanterna.networks.redirect import RedirectedReLU
from lanterna.objectives import PICTURE, Objective, each
from lanterna.techniques.units import Unit

__all__ = ["lifeless", "measure", "pulls", "values_of"]

# Standard deviations of the noise that units are tried on: faint as at the start of ascent, and like a picture.
_NOISE = (0.02, 0.02, 0.2, 0.2)

# What the gradient of waking up is worth beside the one that comes afterwards.
_WAKING = 0.25


def values_of(network: Network, pictures: Tensor, objective: Objective) -> Tensor:
    """The objective of each of `pictures` (B, C, H, W), as they are: (B,), on the CPU."""
    layers = sorted(objective.layers)
    with network.reading(layers) as read, torch.no_grad():
        return objective({**read(pictures.to(network.device)), PICTURE: pictures}).cpu()


def lifeless(network: Network, pictures: Tensor, objective: Objective, moved: Tensor) -> list[bool]:
    """For each of `pictures`, whether its unit is dead: no gradient in the run (`moved`), at its end, on any sample.

    Asked of the unit alone: what the run climbed also has priors in it, and a unit that is off where they have won is not
    dead. Networks that take no pictures are asked on noise.
    """
    still = ~moved.cpu() & ~_sloped(network, pictures, objective)
    for sample in _natural(network, (pictures.shape[2], pictures.shape[3])) if bool(still.any()) else ():
        still &= ~_sloped(network, sample.expand(len(pictures), -1, -1, -1), objective)
    return [bool(flag) for flag in still]


def _sloped(network: Network, pictures: Tensor, objective: Objective) -> Tensor:
    """For which of `pictures` the objective has any gradient: (B,)."""
    given = pictures.detach().to(network.device).contiguous().requires_grad_(True)
    with network.reading(sorted(objective.layers)) as read:
        (gradient,) = torch.autograd.grad(objective(read(given)).sum(), given)
    return (gradient != 0).flatten(1).any(1).cpu()


def _natural(network: Network, size: tuple[int, int]) -> Sequence[Tensor]:
    """The sample pictures, each (1, C, H, W); strong noise for a network that takes no pictures."""
    if network.channels in (1, 3):
        return pictures_io.samples_at(size)
    return list(torch.rand((8, 1, network.channels, *size), generator=torch.Generator().manual_seed(0)))


def pulls(network: Network, units: Sequence[Unit], size: tuple[int, int]) -> Tensor:
    """For each unit, by how much its activation rises where a picture of `size` changes by 1 (root mean square): (U,).

    By the gradient, on noise as faint as ascent starts from and on strong noise. So it is the network's own sensitivity,
    whatever its channels, size and scale of weights. A unit that is off for all noise is measured by the gradient that wakes
    it up; 0 is one that nothing moves.
    """
    pulled = _pulls(network, units, size)
    off = pulled == 0
    if bool(off.any()):
        # This gradient comes through all positions, and the one after waking up through a few.
        with RedirectedReLU():
            pulled = torch.where(off, _WAKING * _pulls(network, units, size), pulled)
    return pulled


def _pulls(network: Network, units: Sequence[Unit], size: tuple[int, int]) -> Tensor:
    """Root mean square over the noise that gives any gradient."""
    generator = torch.Generator().manual_seed(0)
    objective = each([unit.objective for unit in units])
    shape = (len(units), network.channels, *size)
    total, count = torch.zeros(len(units)), torch.zeros(len(units))
    with network.reading(sorted(objective.layers)) as read:
        for deviation in _NOISE:
            noise = (0.5 + deviation * torch.randn(shape, generator=generator)).clamp(0, 1)
            given = noise.to(network.device).requires_grad_(True)
            # Of what is lowered, as in the loop: it is by the sign that redirection knows what wakes a unit up.
            (gradient,) = torch.autograd.grad(-objective(read(given)).sum(), given)
            squared = gradient.flatten(1).square().sum(1).cpu() * given[0].numel()
            total, count = total + squared, count + (squared > 0)
    return (total / count.clamp(min=1)).sqrt()


def measure(network: Network, units: Sequence[Unit], size: tuple[int, int]) -> tuple[tuple[float, ...] | None, list[float]]:
    """For each unit: the highest activation over the sample pictures, and the scale of its layer's activations.

    The scale is the standard deviation, over pictures, channels and for single neurons positions too, so that a prior
    weighs the same beside a unit of any layer. Networks that take no pictures are measured on noise, and have no highest.
    """
    takes_pictures = network.channels in (1, 3)
    shown = _natural(network, size)
    layers = sorted({unit.layer for unit in units})
    highest = torch.full((len(units),), -torch.inf)
    means: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    spread: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    with network.reading(layers) as read, torch.no_grad():
        for picture in shown:
            features = read(picture.to(network.device))
            highest = torch.maximum(highest, torch.cat([unit.objective(features) for unit in units]).cpu())
            for layer, found in features.items():
                means[layer].append(found.flatten(2).mean(2) if found.ndim > 2 else found)
                spread[layer].append(found.std())
    scales = [
        float(torch.stack(spread[unit.layer]).mean() if unit.position else torch.cat(means[unit.layer]).std())
        for unit in units
    ]
    return tuple(highest.tolist()) if takes_pictures else None, [scale if scale > 0 else 1.0 for scale in scales]
