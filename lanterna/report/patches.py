"""Whether the patches that excite a unit are alike, by a network that took no part in finding them."""

import math
import statistics
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.networks.builtin import BUILTIN, vgg16_hed
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.network import Network
from lanterna.networks.wheels import find
from lanterna.techniques.found import Patterns
from lanterna.techniques.likeness import load_second
from lanterna.techniques.units import Unit

__all__ = ["likeness", "picture_of"]


def _witness(network: Network) -> Network | None:
    """A second network that is here: a classifier, else the small VGG."""
    second = load_second(None, network)
    if second is not None or network.name == "vgg16_hed":
        return second
    here = all(find(file) is not None for entry in BUILTIN if entry.name == "vgg16_hed" for file in entry.wheel_files)
    return vgg16_hed().to(network.device) if here else None


@torch.no_grad()
def _described(witness: Network, patches: list[Tensor]) -> Tensor:
    """Each patch as the mean of the witness's deepest maps, as (N, channels), centred and of length 1."""
    deepest = layers_through_depth(witness, 1)[0].name
    shown = torch.cat([F.interpolate(patch.expand(-1, 3, -1, -1), witness.input_size, mode="bilinear") for patch in patches])
    maps = [witness.capture(part.clamp(0, 1).to(witness.device), [deepest])[deepest].cpu() for part in shown.split(16)]
    features = torch.cat(maps).mean((2, 3))
    return F.normalize(features - features.mean(0), dim=1)


def likeness(network: Network, found: Patterns, layer: str) -> dict[str, Any] | None:
    """The mean cosine of a second network's features: `within` the patches of each unit of `layer`, `between` others.

    `error` is twice the standard error over the units, by which the first has to be higher to count. None without a second
    network or where fewer than two units have two patches.
    """
    places = [(one.unit, place) for one in found.units if one.unit.layer == layer for place in one.found]
    witness = _witness(network)
    if witness is None or witness.channels != 3 or len(places) < 2:
        return None
    features = _described(witness, [place.patch for _, place in places])
    within: dict[Unit, list[float]] = {}
    between: list[float] = []
    for (i, (unit, one)), (j, (other, two)) in combinations(enumerate(places), 2):
        # Two pieces of one photograph are alike whatever found them.
        if picture_of(one.sample) == picture_of(two.sample):
            continue
        cosine = float(features[i] @ features[j])
        if unit == other:
            within.setdefault(unit, []).append(cosine)
        else:
            between.append(cosine)
    if len(within) < 2 or not between:
        return None
    means = [statistics.mean(values) for values in within.values()]
    error = 2 * statistics.stdev(means) / math.sqrt(len(means))
    return {
        "network": witness.name,
        "layer": layer,
        "within": statistics.mean(means),
        "between": statistics.mean(between),
        "error": error,
    }


def picture_of(sample: str) -> str:
    """The picture that a sample is, or is a crop of."""
    return sample.rpartition("#")[0] or sample
