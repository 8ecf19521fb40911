"""The colours that a layer tells where the picture is even: found by trying, because descent ends in others.

To a layer several colours of an even part are nearly the same, with others between them that are not, so that descent from
grey stops at the first. Of even pictures there are so few that all can be tried: near enough to what the layer has seen, they
tell the colour of skies, walls and tables.
"""

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from lanterna.networks.network import Network

__all__ = ["EvenParts", "even_parts"]

# Levels of each channel that are tried.
LEVELS = 5

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

# How many colours are looked at more closely, those that most of the picture may have, and how much a colour that is twice as
# far as the nearest still counts there.
CLOSER, SECOND = 12, 0.1

# The change of a channel by which the slope of the features is measured, and how far it is followed: a little into the next
# colour's share.
NUDGE, FURTHEST = 0.5 / (LEVELS - 1), 0.65 / (LEVELS - 1)


@dataclass(frozen=True)
class EvenParts:
    """`colours` (1, C, H, W) in [0, 1] at the size of the picture, and their `trust`, (1, 1, H, W) in [0, 1]."""

    colours: Tensor
    trust: Tensor


def even_parts(network: Network, references: dict[str, Tensor], size: tuple[int, int]) -> dict[str, EvenParts]:
    """For each layer of `references`, (1, K, h, w) of a picture of `size`, the colours of the picture's even parts.

    Layers without a map are left out. All layers share the first passes, of 125 colours; then each takes 48 of its own.
    """
    maps = {layer: reference for layer, reference in references.items() if reference.ndim == 4}
    if not maps:
        return {}
    palette = torch.tensor(list(itertools.product(torch.linspace(0, 1, LEVELS).tolist(), repeat=network.channels)))
    tried: dict[str, list[Tensor]] = {layer: [] for layer in maps}
    for batch in palette.split(max(1, PASS // (size[0] * size[1]))):
        for layer, features in network.capture(_even_pictures(batch, size), [*maps]).items():
            tried[layer].append(_patches((features - maps[layer]).square().sum(1)))
    parts = {}
    for layer, reference in maps.items():
        energy = _patches(reference.square().sum(1))[0]
        chosen = _candidates(torch.cat(tried[layer]), energy)
        fits = [_fit(network, layer, reference, colour, size) for colour in palette[chosen]]
        parts[layer] = _parts(torch.stack([fit[0] for fit in fits]), torch.stack([fit[1] for fit in fits]), energy, size)
    return parts


def _even_pictures(colours: Tensor, size: tuple[int, int]) -> Tensor:
    return colours[:, :, None, None].expand(-1, -1, *size)


def _patches(maps: Tensor) -> Tensor:
    """Maps (N, h, w), or their means over patches where they are large."""
    height, width = (min(side, LONGEST) for side in maps.shape[1:])
    return F.adaptive_avg_pool2d(maps, (height, width))


def _candidates(distances: Tensor, energy: Tensor) -> Tensor:
    """The indices of the colours that may be those of most of the picture, by their distances (N, h, w)."""
    trust = _trust(distances.min(0).values, energy)
    shared = _shared(distances, trust)
    likely = SECOND ** (shared / shared.min(0).values.clamp(min=torch.finfo(shared.dtype).tiny) - 1)
    votes = (likely / likely.sum(0) * trust).flatten(1).sum(1)
    return votes.topk(min(CLOSER, len(votes))).indices.cpu()


def _fit(network: Network, layer: str, reference: Tensor, colour: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The colour (C, h, w) next to `colour` that fits each position best, and the distance that it leaves, (h, w).

    Features change with the colour by nearly straight lines over so small a way, so that it is a matter of least squares.
    """
    nudges = torch.diag(torch.where(colour < 0.5, NUDGE, -NUDGE))
    features = network.capture(_even_pictures(torch.cat([colour[None], colour + nudges]), size), [layer])[layer]
    slopes = (features[1:] - features[:1]) / nudges.sum(1).view(-1, 1, 1, 1).to(features)
    missing = reference[0] - features[0]
    channels = len(colour)
    gram = _patches(torch.einsum("ikhw,jkhw->ijhw", slopes, slopes).flatten(0, 1)).unflatten(0, (channels, channels))
    slope = _patches(torch.einsum("ikhw,khw->ihw", slopes, missing))
    gram, slope = gram.permute(2, 3, 0, 1), slope.permute(1, 2, 0)
    steady = (1e-3 * gram.diagonal(dim1=-2, dim2=-1).mean(-1)).clamp(min=torch.finfo(gram.dtype).tiny)
    change = torch.linalg.solve(gram + steady[..., None, None] * torch.eye(channels).to(gram), slope)
    start = colour.to(change)
    change = (start + change.clamp(-FURTHEST, FURTHEST)).clamp(0, 1) - start
    gained = (change * (2 * slope - (gram @ change[..., None])[..., 0])).sum(-1)
    left = (_patches(missing.square().sum(0)[None])[0] - gained).clamp(min=0)
    return (start + change).permute(2, 0, 1), left


def _trust(distance: Tensor, energy: Tensor) -> Tensor:
    heard = energy > SILENT * energy.mean()
    relative = distance / energy.where(heard, torch.ones_like(energy))
    return torch.exp(-((relative / UNLIKE) ** 2)) * heard


def _shared(distances: Tensor, trust: Tensor) -> Tensor:
    """The distances (N, h, w) each as the mean around it of what is trusted: an even part has one colour."""
    kernel = [1 + 2 * round(side * AROUND) for side in trust.shape]
    blurred: Tensor = gaussian_blur(torch.cat([distances * trust, trust[None]])[None], kernel)[0]
    return blurred[:-1] / blurred[-1:].clamp(min=torch.finfo(trust.dtype).tiny)


def _parts(colours: Tensor, distances: Tensor, energy: Tensor, size: tuple[int, int]) -> EvenParts:
    """Of N colours (N, C, h, w) and their distances (N, h, w) the best."""
    index = _shared(distances, _trust(distances.min(0).values, energy)).argmin(0)
    trust = _trust(distances.gather(0, index[None])[0], energy)[None, None]
    best = colours.gather(0, index.expand(1, colours.shape[1], -1, -1))

    def enlarged(values: Tensor) -> Tensor:
        return F.interpolate(values, size=size, mode="bilinear", align_corners=False)

    trusted = enlarged(trust)
    # Weighed by trust, so that what is not trusted doesn't bleed into its neighbours.
    return EvenParts(enlarged(best * trust) / trusted.clamp(min=1e-6), trusted)
