"""The colours of even parts for layers whose field is too large to try many: a few, and least squares between them.

Beside `invert_even`, whose finer grid would take pictures of nearly the full size here, thousands of them; and with fewer
positions than channels nothing tells which directions of the maps are faint. A colour wrong by a level is no harm at these
layers, which only get a direction from it.
"""

import itertools

import torch
from torch import Tensor

from lanterna.networks.network import Network
from lanterna.techniques.invert_even import PASS, EvenParts, around, enlarged, in_patches, trust_in

__all__ = ["deep_even_parts"]

# Levels of each channel that are tried.
LEVELS = 5

# How many colours are looked at more closely, those that most of the picture may have, and how much a colour that is twice as
# far as the nearest still counts there.
CLOSER, SECOND = 12, 0.1

# The change of a channel by which the slope of the features is measured, and how far it is followed: a little into the next
# colour's share.
NUDGE, FURTHEST = 0.5 / (LEVELS - 1), 0.65 / (LEVELS - 1)


def deep_even_parts(network: Network, references: dict[str, Tensor], size: tuple[int, int]) -> dict[str, EvenParts]:
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
            tried[layer].append(in_patches((features - maps[layer]).square().sum(1)))
    parts = {}
    for layer, reference in maps.items():
        energy = in_patches(reference.square().sum(1))[0]
        chosen = _candidates(torch.cat(tried[layer]), energy)
        fits = [_fit(network, layer, reference, colour, size) for colour in palette[chosen]]
        parts[layer] = _parts(torch.stack([fit[0] for fit in fits]), torch.stack([fit[1] for fit in fits]), energy, size)
    return parts


def _even_pictures(colours: Tensor, size: tuple[int, int]) -> Tensor:
    return colours[:, :, None, None].expand(-1, -1, *size)


def _candidates(distances: Tensor, energy: Tensor) -> Tensor:
    """The indices of the colours that may be those of most of the picture, by their distances (N, h, w)."""
    trust = trust_in(distances.min(0).values, energy)
    shared = around(distances, trust)
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
    gram = in_patches(torch.einsum("ikhw,jkhw->ijhw", slopes, slopes).flatten(0, 1)).unflatten(0, (channels, channels))
    slope = in_patches(torch.einsum("ikhw,khw->ihw", slopes, missing))
    gram, slope = gram.permute(2, 3, 0, 1), slope.permute(1, 2, 0)
    steady = (1e-3 * gram.diagonal(dim1=-2, dim2=-1).mean(-1)).clamp(min=torch.finfo(gram.dtype).tiny)
    change = torch.linalg.solve(gram + steady[..., None, None] * torch.eye(channels).to(gram), slope)
    start = colour.to(change)
    change = (start + change.clamp(-FURTHEST, FURTHEST)).clamp(0, 1) - start
    gained = (change * (2 * slope - (gram @ change[..., None])[..., 0])).sum(-1)
    left = (in_patches(missing.square().sum(0)[None])[0] - gained).clamp(min=0)
    return (start + change).permute(2, 0, 1), left


def _parts(colours: Tensor, distances: Tensor, energy: Tensor, size: tuple[int, int]) -> EvenParts:
    """Of N colours (N, C, h, w) and their distances (N, h, w) the best."""
    index = around(distances, trust_in(distances.min(0).values, energy)).argmin(0)
    trust = trust_in(distances.gather(0, index[None])[0], energy)[None, None]
    return enlarged(colours.gather(0, index.expand(1, colours.shape[1], -1, -1)), trust, size)
