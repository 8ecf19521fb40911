"""The colours that a layer tells where the picture is even: found by trying, because descent ends in others.

To a layer several colours of an even part are nearly the same, with others between them that are not, so that descent from
grey stops at the first. Of even pictures there are so few that all can be tried: near enough to what the layer has seen, they
tell the colour of skies, walls and tables.
"""

import itertools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from lanterna.networks.network import Network
from lanterna.networks.probe import Axis

__all__ = ["PASS", "EvenParts", "around", "enlarged", "even_parts", "in_patches", "trust_in"]

# Levels of each channel that are tried, between these by how many pixels the even pictures may have together. Half as fine a
# grid finds other colours: features turn so quickly with the colour that the right one lies between two that are wrong.
FEWEST, MOST, TOGETHER = 5, 13, 60 * 224**2

# Pixels in one pass: five pictures of 224 px.
PASS = 5 * 224**2

# The relative distance at which an even picture is no longer trusted to be what the layer has seen. Beside texture it is
# above 0.5, in skies and on walls below 0.1.
UNLIKE = 0.15

# Positions with less than this share of the features that positions have in the mean are silent, and tell nothing.
SILENT = 0.01

# Maps with longer sides are compared in patches: even parts are larger.
LONGEST = 64

# How far around a position its colour is looked for, in sides of the map: noise alone makes single positions choose others.
AROUND = 0.25

# Between colours it is not the strong features that decide, which all have in common: each direction of the maps is divided
# by its deviation, those below the root of this share of the largest variance by that.
FAINT = 0.01


@dataclass(frozen=True)
class EvenParts:
    """`colours` (1, C, H, W) in [0, 1] at the size of the picture, and their `trust`, (1, 1, H, W) in [0, 1]."""

    colours: Tensor
    trust: Tensor


def even_parts(network: Network, references: dict[str, Tensor], size: tuple[int, int]) -> dict[str, EvenParts]:
    """For each layer of `references`, (1, K, h, w) of a picture of `size`, the colours of the picture's even parts.

    Layers without a map are left out.
    """
    return {
        layer: _of_layer(network, layer, reference, size) for layer, reference in references.items() if reference.ndim == 4
    }


def _of_layer(network: Network, layer: str, reference: Tensor, size: tuple[int, int]) -> EvenParts:
    small = _small(network, layer, size)
    levels = int((TOGETHER / (small[0] * small[1])) ** (1 / network.channels))
    steps = torch.linspace(0, 1, min(max(levels, FEWEST), MOST)).tolist()
    palette = torch.tensor(list(itertools.product(steps, repeat=network.channels)))
    whitening = _whitening(reference)
    plain, whitened = [], []
    for batch in palette.split(max(1, PASS // (small[0] * small[1]))):
        features = network.capture(batch[:, :, None, None].expand(-1, -1, *small), [layer])[layer]
        plain.append(_distances(features, reference))
        whitened.append(_distances(_mixed(whitening, features), _mixed(whitening, reference)))
    distances, energy = torch.cat(plain), in_patches(reference.square().sum(1))[0]
    index = around(torch.cat(whitened), trust_in(distances.min(0).values, energy)).argmin(0)
    trust = trust_in(distances.gather(0, index[None])[0], energy)[None, None]
    colours = palette.to(trust)[index].permute(2, 0, 1)[None]
    return enlarged(colours, trust, size)


def enlarged(colours: Tensor, trust: Tensor, size: tuple[int, int]) -> EvenParts:
    """The colours (1, C, h, w) and their trust (1, 1, h, w) at the size of the picture."""
    large, trusted = (
        F.interpolate(values, size=size, mode="bilinear", align_corners=False) for values in (colours * trust, trust)
    )
    # Weighed by trust, so that what is not trusted doesn't bleed into its neighbours.
    return EvenParts(large / trusted.clamp(min=1e-6), trusted)


def _small(network: Network, layer: str, size: tuple[int, int]) -> tuple[int, int]:
    """The size of an even picture that has all that one of `size` has: each border, and what sees none of them."""
    axes = network.layer(layer).view
    if axes is None:
        return size
    height, width = (
        # Shorter by whole strides, so that the far border meets the grid of the layer as it does in the picture.
        side
        - max(0, math.floor((side - max(_middle(axis), network.preprocessing.min_size)) / axis.stride) * round(axis.stride))
        for side, axis in zip(size, axes, strict=True)
    )
    return height, width


def _middle(axis: Axis) -> float:
    """The least side where the position in the middle sees no border: padding may be more on one side."""
    return 2 * max(-axis.first, axis.last + 1) + axis.stride


def _whitening(reference: Tensor) -> Tensor:
    """The matrix (K, K) by which the channels of (1, K, h, w) have no correlation, and variances of at most 1."""
    rows = reference[0].flatten(1).cpu().double()
    variances, directions = torch.linalg.eigh(torch.cov(rows, correction=0))
    floor = (FAINT * variances.max()).clamp(min=torch.finfo(rows.dtype).tiny)
    matrix: Tensor = (directions * (variances.clamp(min=0) + floor).rsqrt() @ directions.T).to(reference)
    return matrix


def _mixed(matrix: Tensor, maps: Tensor) -> Tensor:
    mixed: Tensor = torch.einsum("ij,njhw->nihw", matrix, maps)
    return mixed


def _distances(features: Tensor, reference: Tensor) -> Tensor:
    """Squared distances (N, h', w') of even pictures' maps (N, K, r, c), enlarged in the middle, to (1, K, h, w).

    By patches where the map is large.
    """
    height, width = reference.shape[2:]
    rows, columns = _enlarged(height, features.shape[2]), _enlarged(width, features.shape[3])
    found = features.new_empty(len(features), height, width)
    # Where the even pictures are the same, one product of matrices serves all positions.
    for row, column in itertools.product(rows.unique(), columns.unique()):
        here = (rows == row)[:, None] & (columns == column)
        found[:, here] = torch.cdist(features[:, :, row, column], reference[0, :, here].T).square()
    return in_patches(found)


def _enlarged(length: int, small: int) -> Tensor:
    """For each of `length` positions the one of `small` that sees as far to the nearest border, or to none."""
    positions = torch.arange(length)
    from_end = length - positions
    return torch.where(positions < from_end, positions.clamp(max=small // 2), small - from_end.clamp(max=small - small // 2))


def in_patches(maps: Tensor) -> Tensor:
    """Maps (N, h, w), or their means over patches where they are large."""
    height, width = (min(side, LONGEST) for side in maps.shape[1:])
    return F.adaptive_avg_pool2d(maps, (height, width))


def trust_in(distance: Tensor, energy: Tensor) -> Tensor:
    """How far, in [0, 1], a relative distance lets a colour be believed; silent positions tell nothing."""
    heard = energy > SILENT * energy.mean()
    relative = distance / energy.where(heard, torch.ones_like(energy))
    return torch.exp(-((relative / UNLIKE) ** 2)) * heard


def around(distances: Tensor, trust: Tensor) -> Tensor:
    """The distances (N, h, w) each as the mean around it of what is trusted: an even part has one colour."""
    kernel = [1 + 2 * round(side * AROUND) for side in trust.shape]
    blurred: Tensor = gaussian_blur(torch.cat([distances * trust, trust[None]])[None], kernel)[0]
    return blurred[:-1] / blurred[-1:].clamp(min=torch.finfo(trust.dtype).tiny)
