"""The sizes that a dream goes through, the steps at each, and how long all of them will take."""

import time
from collections.abc import Collection, Sequence
from functools import partial
from math import ceil, log, prod

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.ascent import ascend
from lanterna.canvas import PictureCanvas
from lanterna.errors import InputError
from lanterna.events import Event, Stepped
from lanterna.networks.network import Network
from lanterna.normalized import NormalizedSteps, Shaping
from lanterna.objectives import Objective
from lanterna.tiles import Reach, Tiles
from lanterna.wording import counted

__all__ = [
    "USUAL_OCTAVES",
    "USUAL_SIDE",
    "check_octaves",
    "expected_seconds",
    "least_side",
    "noise_picture",
    "octave_sizes",
    "steps_at",
    "tile_side",
    "usual_octaves",
]

Size = tuple[int, int]

# Without `native`, the longer side at which is dreamt; details of a larger picture stay as they are.
USUAL_SIDE = 1024
# How many sizes that has by default, so that the smallest is 373 px: there the network's shapes are as large as a face.
USUAL_OCTAVES = 4
# Below it there is nothing left of a picture.
_LEAST_SIDE = 16
# About how much the maps of one tile may take, in bytes.
_TILE_MEMORY = 250e6
# Sizes beyond this many are not planned by default: 16 of 1.4 lead from 373 px to 58,000.
_MOST_OCTAVES = 16
# Side of the piece of which a step is timed: a second or two.
_TIMED_SIDE = 512


def octave_sizes(size: tuple[int, int], octaves: int, scale: float) -> list[tuple[int, int]]:
    """Sizes from the smallest to the whole."""
    return [(round(size[0] / scale**i), round(size[1] / scale**i)) for i in reversed(range(octaves))]


def least_side(network: Network, reach: Reach) -> int:
    """The shorter side below which there is no octave: of the network, or of a picture with something in it."""
    return max(network.preprocessing.min_size, reach.align, _LEAST_SIDE)


def usual_octaves(size: Size, scale: float, least: int) -> int:
    """How many sizes lead to `size`, each larger by `scale`: as many as begin where a usual picture begins.

    The smallest decides how large shapes are: begun at a large size, they are a pattern of specks. `least` is the shorter
    side below which the network takes nothing; what is too small for the usual number has fewer.
    """
    more = ceil(max(0.0, log(max(size) / USUAL_SIDE)) / log(scale) - 1e-9)
    count = min(USUAL_OCTAVES + more, _MOST_OCTAVES)
    while count > 1 and min(octave_sizes(size, count, scale)[0]) < least:
        count -= 1
    return count


def check_octaves(size: Size, asked: int | None, scale: float, network: Network, reach: Reach, shift: int) -> None:
    """Raise InputError where the network can't take the smallest of the sizes, moved by up to `shift` px."""
    least = least_side(network, reach)
    octaves = asked or usual_octaves(size, scale, least)
    sizes = octave_sizes(size, octaves, scale)
    if min(sizes[0]) < least:
        fitting = 1
        while fitting < octaves and min(octave_sizes(size, fitting + 1, scale)[0]) >= least:
            fitting += 1
        most = f"at most {fitting} octaves" if min(size) >= least else "no octave at all: give a larger picture"
        raise InputError(
            f"{counted(octaves, 'octave')} of {scale:g} begin at {sizes[0][0]}x{sizes[0][1]} px for a picture of "
            f"{size[0]}x{size[1]}; {network.name} takes {least} px or more there, which allows {most}"
        )
    # What takes a picture of its own size takes a larger one; trying that here would cost the memory that tiles save.
    # With the surroundings that a step may move it by: a network of one fixed size takes no more than its own.
    seen = (min(side, max(network.input_size)) + shift for side in sizes[0])
    rounded = tuple(-(-side // reach.align) * reach.align for side in seen)
    network.check_size((rounded[0], rounded[1]), list(reach.strides))


def tile_side(network: Network, layers: Collection[str], reach: Reach) -> int:
    """The side of a tile whose maps, up to the deepest of `layers`, take about the memory allowed."""
    floats, passed = 0, 0
    for layer in network.layers():
        floats += prod(layer.shape) if layer.leaf else 0
        passed += layer.name in layers
        if passed == len(layers):
            break
    area = network.input_size[0] * network.input_size[1]
    side = (_TILE_MEMORY * area / (4 * max(floats, 1))) ** 0.5
    # At least as much of its own as the halo, or most of the work would be done twice.
    return max(int(side), sum(reach.halo) + max(256, reach.align))


def steps_at(steps: int, size: tuple[int, int]) -> int:
    """The steps at one of the sizes: as many up to the usual size, and in proportion fewer where it is larger.

    What is added there is finer than anyone sees in the whole picture; as many steps would cover the large shapes with it,
    and take most of the time.
    """
    return min(steps, max(1, round(steps * min(1.0, USUAL_SIDE / max(size)))))


def expected_seconds(
    picture: Tensor,
    objective: Objective,
    network: Network,
    tiles: Tiles,
    shaping: Shaping,
    work: Sequence[tuple[Size, int]],
) -> float:
    """About how long the steps of `work` (size, steps) take here: a step of the middle of `picture`, timed, by pixels."""
    height, width = (min(length, _TIMED_SIDE) for length in picture.shape[2:])
    top, left = (picture.shape[2] - height) // 2, (picture.shape[3] - width) // 2
    piece = picture[..., top : top + height, left : left + width].to(network.device)
    ticks: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Stepped):
            ticks.append(time.perf_counter())

    # The first step is not counted: what it takes to begin is not taken again.
    ascend(
        PictureCanvas(piece.clone()), objective, network, size=(height, width), steps=2, redirected_steps=0,
        generator=torch.Generator().manual_seed(0), lr=1 / 255, gradient=tiles, on_event=note,
        optimizer=partial(NormalizedSteps, shaping=shaping, base=piece),
    )  # fmt: skip
    pixel = (ticks[-1] - ticks[0]) / _pixels_read(tiles, (height, width))
    return pixel * sum(steps * _pixels_read(tiles, size) for size, steps in work)


def _pixels_read(tiles: Tiles, size: Size) -> int:
    """Pixels that go through the network in one step at `size`, the halos of all tiles with them."""
    rows, columns = (sum(span[3] - span[2] for span in tiles.spans(length)) for length in size)
    return rows * columns


def noise_picture(size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Soft noise around grey: normal, standard deviation 0.08 a pixel, half of it in blots."""
    fine = torch.randn((1, 3, *size), generator=generator)
    blots = torch.randn((1, 3, max(2, size[0] // 8), max(2, size[1] // 8)), generator=generator)
    mixed = 0.08 * fine + 0.08 * F.interpolate(blots, size, mode="bicubic", align_corners=False)
    return (mixed + 0.5).clamp(0, 1)
