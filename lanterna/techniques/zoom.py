"""The endless zoom: dream, move a little closer, dream on; frame by frame, each a file, so that a film can be continued.

Mordvintsev, Olah and Tyka 2015. Each frame starts as the one before it, moved, and is dreamt on with few steps: that is what
keeps neighbours alike. Frame i has its own chance, made of the seed and i, and starts from the 8 bits of the file before it,
so that a film which was interrupted goes on as if it had not been.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.bounds import check_reach
from lanterna.events import STOP, Done, Event, Listener, Started, Stepped
from lanterna.networks.network import Network
from lanterna.techniques.dream import Dreamer, DreamRecipe, start_picture
from lanterna.techniques.frames import frame_file, ready_frames
from lanterna.techniques.octaves import steps_at

__all__ = ["Zoom", "ZoomRecipe", "run"]

# Share of the way back to the first picture's mean, contrast and grain that each frame goes, or a hundred frames drift away.
_LEVEL = 0.35
# How much of the first picture's own detail a frame may begin with, in the three finest octaves, finest first. In smooth
# places every frame adds some, and after fifty all would be pale dots and threads.
_MOST_DETAIL = (1.0, 1.0, 1.5)
# Large shapes are those of which this many fit beside each other: heads and legs of an animal that fills the picture.
_CELLS = 32
# How much nearer than at first the picture's own shapes are kept whole.
_NEAR = 4.0


class ZoomRecipe(DreamRecipe):
    """All that decides the frames of a film; `octaves`, `steps` and the rest are for each frame."""

    # A frame begins from the one before it, so the largest shapes are there already.
    usual_octaves: ClassVar[int] = 3
    steps: Annotated[int, Field(ge=0, le=10_000, description="steps at each size")] = 4
    zoom: Annotated[int, Field(ge=1, le=100_000, description="frames of an endless zoom, into a film")]
    keep: Annotated[
        float, Field(ge=0, le=1, description="share of the picture's own large shapes that each frame gets back")
    ] = 0.5
    zoom_factor: Annotated[float, Field(gt=0.5, lt=2, description="how much closer each frame is")] = 1.03
    zoom_rotate: Annotated[float, Field(ge=-45, le=45, description="degrees that each frame turns")] = 0.5
    zoom_right: Annotated[float, Field(ge=-100, le=100, description="pixels that each frame moves right")] = 0.0
    zoom_down: Annotated[float, Field(ge=-100, le=100, description="pixels that each frame moves down")] = 0.0


@dataclass(frozen=True)
class Zoom:
    """A film's frames, as files in order. `resumed` is how many were there already; `stopped` where a listener asked."""

    recipe: ZoomRecipe
    frames: tuple[Path, ...]
    resumed: int
    stopped: bool


def moved(picture: Tensor, recipe: ZoomRecipe, frames: int = 1) -> Tensor:
    """`picture` (1, 3, H, W) as seen so many frames further."""
    height, width = picture.shape[2:]
    angle, scale = math.radians(recipe.zoom_rotate), 1 / recipe.zoom_factor
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    # In units of half a side, as affine_grid has them.
    theta = torch.tensor(
        [
            [cos, -sin * height / width, 2 * recipe.zoom_right / width],
            [sin * width / height, cos, 2 * recipe.zoom_down / height],
            [0.0, 0.0, 1.0],
        ],
        dtype=torch.float64,
    )
    way = torch.linalg.matrix_power(theta, frames)[:2].float()
    grid = F.affine_grid(way[None], list(picture.shape), align_corners=False)
    # Bicubic: a hundred times bilinear is a blur.
    return F.grid_sample(picture, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp_(0, 1)


def levelled(picture: Tensor, like: Tensor) -> Tensor:
    """A little of the way to the mean and contrast of `like`, channel by channel, and back to no more grain than it has."""
    mean, deviation = picture.mean((2, 3), keepdim=True), picture.std((2, 3), keepdim=True)
    target_mean, target_deviation = like.mean((2, 3), keepdim=True), like.std((2, 3), keepdim=True)
    gain = 1 + _LEVEL * (target_deviation / deviation.clamp(min=1e-3) - 1).clamp(-0.5, 0.5)
    level = (picture - mean) * gain + mean + _LEVEL * (target_mean - mean)
    for band, own, most in zip(_details(level), _details(like), _MOST_DETAIL, strict=True):
        excess = 1 - (most * own.std() / band.std().clamp(min=1e-4)).clamp(max=1)
        level = level - excess * band
    return level.clamp_(0, 1)


def _details(picture: Tensor) -> list[Tensor]:
    """The three finest octaves of the picture, finest first."""
    views = [picture, *(_without(picture, 2**octave) for octave in range(1, len(_MOST_DETAIL) + 1))]
    return [finer - coarser for finer, coarser in pairwise(views)]


def _without(picture: Tensor, factor: int) -> Tensor:
    """The picture without what is lost when it is made smaller by `factor`."""
    size = (picture.shape[2], picture.shape[3])
    small = (max(2, size[0] // factor), max(2, size[1] // factor))
    return F.interpolate(F.interpolate(picture, small, mode="bicubic", antialias=True), size, mode="bicubic")


def coarse(picture: Tensor) -> Tensor:
    """What is left of the picture when all that is smaller than a twelfth of its longer side is taken out."""
    size = (picture.shape[2], picture.shape[3])
    cells = (max(2, round(_CELLS * size[0] / max(size))), max(2, round(_CELLS * size[1] / max(size))))
    return F.interpolate(F.interpolate(picture, cells, mode="bicubic", antialias=True), size, mode="bicubic")


def kept(picture: Tensor, first: Tensor, recipe: ZoomRecipe, frame: int) -> Tensor:
    """`picture` with its large shapes `keep` of the way back to those of `first` as seen in this frame."""
    if not recipe.keep:
        return picture
    # Nearer than this the first picture has nothing but a blur to give, and would take away what has been dreamt.
    near = max(1.0, recipe.zoom_factor**frame / _NEAR)
    difference = coarse(moved(first, recipe, frame)) - coarse(picture)
    return (picture + recipe.keep / near * difference).clamp_(0, 1)


def _generator(seed: int, frame: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + frame) % 2**63)


def run(
    recipe: ZoomRecipe,
    network: Network,
    folder: Path,
    record: Callable[[], Mapping[str, Any]],
    on_event: Listener | None = None,
) -> Zoom:
    """Dream `recipe.zoom` frames into files of `folder`, continuing after those that are there.

    `record` is what each frame carries. Raises InputError before anything is computed, PictureError where a frame can't be
    written: those before it stay, and the next run continues.
    """
    first = start_picture(recipe, network)
    dreamer = Dreamer.prepare(recipe, network, first)
    sizes = dreamer.sizes((first.shape[2], first.shape[3]))
    each = sum(steps_at(recipe.steps, size) for size in sizes)
    check_reach(network, sizes[-1], steps=recipe.zoom * each, tiled=True)
    mark = dict(record())
    # A film may be made longer: how many frames does not change any of them.
    compared = {key: mark[key] for key in ("network", "inputs")} | {"recipe": {**mark["recipe"], "zoom": 0}}
    frames = ready_frames(folder, compared, recipe.zoom)
    resumed, stopped = len(frames), False
    picture = first if not frames else pictures_io.load(frames[-1])
    total = (recipe.zoom - resumed) * each
    if on_event is not None:
        stopped = on_event(Started(total, 1)) == STOP
    for index in range(resumed, recipe.zoom):
        if stopped:
            break
        before = (index - resumed) * each

        def listen(done: int, event: Event, before: int = before) -> Literal["stop"] | None:
            if on_event is None or isinstance(event, Started | Done):
                return None
            if isinstance(event, Stepped):
                return on_event(Stepped(before + done + event.step, total, event.values))
            return on_event(event)

        base = picture
        if index:
            base = levelled(kept(moved(picture, recipe), first, recipe, index), first)
        dream, _, stopped = dreamer.dream(base, _generator(recipe.seed, index), listen, steps=recipe.steps)
        if stopped:
            # Half a frame is none: the next run makes it whole.
            break
        frames.append(pictures_io.save(dream, frame_file(folder, index), recipe={**mark, "frame": index}))
        picture = dream.mul_(255).round_().div_(255)
    if on_event is not None:
        on_event(Done((len(frames) - resumed) * each, stopped))
    return Zoom(recipe, tuple(frames), resumed, stopped)
