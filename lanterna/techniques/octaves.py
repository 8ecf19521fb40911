"""The sizes at which a picture is dreamt, from small to whole, and how many of them a network can use."""

from lanterna.networks.network import Network
from lanterna.tiles import Reach

__all__ = ["fitting_octaves", "least_side", "octave_sizes"]

# Below it there is nothing left of a picture.
_LEAST_SIDE = 16


def octave_sizes(size: tuple[int, int], octaves: int, scale: float) -> list[tuple[int, int]]:
    """Sizes from the smallest to the whole."""
    return [(round(size[0] / scale**i), round(size[1] / scale**i)) for i in reversed(range(octaves))]


def least_side(network: Network, reach: Reach) -> int:
    """The smallest side, in pixels, at which the network can dream: one position of its layers at least."""
    return max(network.preprocessing.min_size, reach.align, _LEAST_SIDE)


def fitting_octaves(size: tuple[int, int], scale: float, least: int, most: int) -> int:
    """How many octaves, up to `most`, begin no smaller than `least`; 0 where the picture itself is smaller."""
    return max((count for count in range(1, most + 1) if min(octave_sizes(size, count, scale)[0]) >= least), default=0)
