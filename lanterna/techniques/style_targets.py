"""What a style is to be matched in: its statistics at one size, gathered whole or tile by tile."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from lanterna.averaged import resized
from lanterna.moments import Moments, as_rows
from lanterna.networks.network import Network
from lanterna.summaries import Tiling

__all__ = ["features_of", "guides_at", "mixed", "moments_of", "rows_of", "shrunk"]


def shrunk(picture: Tensor, side: float) -> Tensor:
    """The picture with a longer side of at most `side` pixels; never larger than it is, for that adds no texture."""
    height, width = picture.shape[2:]
    factor = min(1.0, side / max(height, width))
    return resized(picture, (max(1, round(height * factor)), max(1, round(width * factor)))).clamp(0, 1)


def features_of(network: Network, picture: Tensor, layers: Sequence[str], tiling: Tiling | None) -> dict[str, Tensor]:
    """The maps of `layers`, whole, in the memory of a tile beside them."""
    if tiling is None:
        return network.capture(picture, layers)
    pieces: dict[str, list[tuple[Tensor, int, int]]] = {layer: [] for layer in layers}
    with network.reading(layers) as read:
        for found in tiling.pieces(read, picture.to(network.device)):
            for layer, (own, place) in found.items():
                pieces[layer].append((own.clone(), place.rows.start, place.columns.start))
    whole = {}
    for layer, parts in pieces.items():
        height = max(top + own.shape[2] for own, top, _ in parts)
        width = max(left + own.shape[3] for own, _, left in parts)
        out = parts[0][0].new_zeros(1, parts[0][0].shape[1], height, width)
        for own, top, left in parts:
            out[:, :, top : top + own.shape[2], left : left + own.shape[3]] = own
        whole[layer] = out
    return whole


def moments_of(network: Network, picture: Tensor, layers: Sequence[str], tiling: Tiling | None) -> dict[str, Moments]:
    """The moments of `layers` over the picture."""
    if tiling is None:
        return {layer: Moments.of(found) for layer, found in network.capture(picture, layers).items()}
    totals: dict[str, Moments] = {}
    with network.reading(layers) as read:
        for found in tiling.pieces(read, picture.to(network.device)):
            for layer, (own, _) in found.items():
                moments = Moments.of(own)
                totals[layer] = totals[layer] + moments if layer in totals else moments
    return totals


def rows_of(network: Network, picture: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """The maps as one row for each position: what histograms are made of."""
    return {layer: as_rows(found) for layer, found in network.capture(picture, layers).items()}


def mixed(styles: Sequence[dict[str, Moments]], weights: Sequence[float]) -> dict[str, Moments]:
    """The moments of all styles together, each by its weight whatever its size; `weights` sum to 1."""
    out = {}
    for layer in styles[0]:
        parts = [style[layer].scaled(weight) for style, weight in zip(styles, weights, strict=True)]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        out[layer] = total
    return out


def guides_at(mask: Tensor, shapes: dict[str, tuple[int, int]]) -> dict[str, Tensor]:
    """A mask (1, 1, H, W) at the size of each layer's map, by area: (h, w)."""
    return {layer: F.interpolate(mask, shape, mode="area")[0, 0].clamp(min=0) for layer, shape in shapes.items()}
