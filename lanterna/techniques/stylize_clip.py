"""A clip in the style of pictures: each frame painted beside the one before it, so that the paint moves with the things.

Ruder, Dosovitskiy and Brox, "Artistic Style Transfer for Videos", GCPR 2016: every frame starts as the frame before it,
warped by the optical flow, and pays for differing from that where the flow can be trusted. Other than there, each frame goes
coarse to fine as single pictures do: at every size the trusted places begin again as they were, and what came into view is
painted from the content, from its outlines on. Their long-term consistency is left out. Frame i starts from the 8 bits of the
file before it, so that a clip that was interrupted goes on as if it had not been.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.averaged import resized
from lanterna.bounds import check_reach
from lanterna.errors import InputError, PictureError
from lanterna.events import Listener
from lanterna.motion import filled, flicker, optical_flow, reliable, warped
from lanterna.networks.adapt import adapted
from lanterna.networks.network import Network
from lanterna.objectives import Objective
from lanterna.pictures.clip import Clip, open_clip
from lanterna.pictures.colour import match_colours, with_colours_of
from lanterna.priors import where
from lanterna.progress import Series
from lanterna.provenance import describe
from lanterna.techniques.frames import frame_file, ready_frames
from lanterna.techniques.paint import Scale, Size, Sketch, paint
from lanterna.techniques.studio import Studio
from lanterna.techniques.style_recipe import StylizeClipRecipe
from lanterna.techniques.stylize import (
    blend_of,
    check_weights,
    even,
    losses_of,
    noise_start,
    parse_sides,
    prepare,
    scales_for,
)

__all__ = ["StylizeClipRecipe", "StylizedClip", "run"]

# Between pictures that have nothing to do with each other, a flow leads back by chance at 1 to 10 % of the pixels.
_CUT = 0.15


@dataclass(frozen=True)
class StylizedClip:
    """The painted frames, as files in order, and how still they are.

    `flicker` has for each frame but the first the root mean squared difference, for values in [0, 1], to the frame before it
    moved by the flow, over the pixels where the flow can be trusted, whose share is `trusted`; in the 8 bits of the files.
    `content_flicker` is that of the clip itself: what noise and an inexact flow make. All three are 0 at a cut. `losses` are
    the means of all frames, by term. `fps` is the clip's own, None for a folder. `resumed` is how many frames were there
    already; `stopped` where a listener asked.
    """

    recipe: StylizeClipRecipe
    frames: tuple[Path, ...]
    size: Size
    fps: float | None
    flicker: tuple[float, ...]
    content_flicker: tuple[float, ...]
    trusted: tuple[float, ...]
    losses: dict[str, float]
    resumed: int
    stopped: bool


@dataclass(frozen=True)
class _Motion:
    """From the frame before to this one: its flow (2, H, W), and where it can be trusted, (1, 1, H, W) of zeros and ones."""

    back: Tensor
    trusted: Tensor

    @classmethod
    def between(cls, before: Tensor, now: Tensor) -> "_Motion":
        back = optical_flow(now, before)
        trusted = reliable(back, optical_flow(before, now))
        return cls(back, trusted if float(trusted.mean()) > _CUT else torch.zeros_like(trusted))


@dataclass(frozen=True)
class _Start:
    """What a frame begins with: `picture` (1, 3, H, W), and what of it was painted before, `trusted` (1, 1, H, W)."""

    picture: Tensor
    trusted: Tensor | None = None

    def begun(self, size: Size) -> Callable[[Tensor], Tensor] | None:
        """What of a smaller size's picture is gone on with at `size`: what was not painted before."""
        if self.trusted is None:
            return None
        own, kept = resized(self.picture, size).clamp(0, 1), resized(self.trusted, size).clamp(0, 1)
        return lambda given: torch.lerp(given, own.to(given), kept.to(given))


def _objective(studio: Studio, moved: Tensor, trusted: Tensor, size: Size) -> list[tuple[float, Objective]]:
    """The temporal loss at one size, with its weight."""
    recipe, device = studio.recipe, studio.network.device
    assert isinstance(recipe, StylizeClipRecipe)
    weight = recipe.defaults.temporal_weight if recipe.temporal_weight is None else recipe.temporal_weight
    if not weight:
        return []
    if recipe.defaults.relative:
        # Beside the variance of the frame before: 1 for a frame that has nothing of it, at every size.
        weight /= max(float((moved - moved.mean((2, 3), keepdim=True)).square().mean()), 1e-4)
    else:
        weight *= 255**2
    target, mask = resized(moved, size).clamp(0, 1).to(device), resized(trusted, size).clamp(0, 1).to(device)
    return [(weight, where(mask, target))]


def _painted(
    studio: Studio, base: Tensor, motion: _Motion | None, before: Tensor | None, on_event: Listener
) -> tuple[Tensor, Scale, bool]:
    """One frame (1, 3, H, W), the losses of its full size, and whether it was stopped."""
    recipe, size = studio.recipe, studio.size
    assert isinstance(recipe, StylizeClipRecipe)
    preset = recipe.defaults
    sizes, steps = scales_for(size, preset.steps if recipe.steps is None else recipe.steps, fewer=preset.fewer)
    start, moved = _Start(resized(base, size).clamp(0, 1)), None
    if motion is not None and before is not None:
        # Where the flow can't be trusted, what is warped is a ghost: no size may see any of it.
        moved = warped(before, motion.back)
        if recipe.init == "content":
            # What came into view begins in the colours that its surroundings were painted in, or a bright piece of the
            # content would be left at the edge of a dark picture.
            own = (start.picture + filled(moved - start.picture, motion.trusted)).clamp(0, 1)
        else:
            own = start.picture
        moved = torch.lerp(own, moved, motion.trusted)
        start = _Start(moved, motion.trusted) if recipe.warm_start else start
    last: list[Scale] = []

    def scale_at(at: Size, count: int) -> Scale:
        made = studio.scale(at, count)
        last[:] = [made]
        if motion is None or moved is None:
            return made
        temporal = _objective(studio, moved, motion.trusted, at)
        return replace(made, priors=[*made.priors, *temporal], begun=start.begun(at))

    sketch = Sketch(0, 0, resized(start.picture, sizes[0]).clamp(0, 1), {})
    painted = paint(
        studio.network, sizes, steps, scale_at, sketch, lr=recipe.rate, optimizer=recipe.optimizer, on_event=on_event
    )
    return resized(painted.picture, size).clamp(0, 1), last[0] if last else studio.scale(size, 0), painted.stopped


def _studio(recipe: StylizeClipRecipe, network: Network, clip: Clip, size: Size) -> Studio:
    """What makes the losses of every frame. Raises InputError."""
    if recipe.masks:
        raise InputError("--mask stays where it is while the clip moves, so it does not go with a clip; leave it out")
    styles = [pictures_io.load(style, reduced=True) for style in recipe.styles]
    check_reach(network, size, steps=(recipe.steps or 0) * clip.count, tiled=True)
    blend, layers = blend_of(recipe), prepare(recipe, network, styles, size)
    first = next(clip.frames(size))
    if recipe.color == "content":
        # Once for all frames: matched to each, the colours would flicker.
        styles = [match_colours(style, first) for style in styles]
    painter = adapted(network, pooling=recipe.pooling, padding=recipe.padding)
    studio = Studio(recipe, painter, layers, styles, blend, first, [], False, size)
    check_weights(studio)
    return studio


def _base(recipe: StylizeClipRecipe, studio: Studio) -> Callable[[Tensor], Tensor]:
    """What is painted on where nothing was painted before, of a frame of the clip."""
    if recipe.init == "content":
        return lambda frame: frame
    if recipe.init == "noise":
        given = noise_start(recipe, studio.styles, studio.size)
    elif recipe.init == "style":
        given = studio.styles[0]
    else:
        given = pictures_io.load(recipe.init, size=studio.size)
    return lambda _frame: given


def _rounded(picture: Tensor) -> Tensor:
    """As it is in the file."""
    return (picture * 255).round() / 255


def _numbers_of(frame: Path) -> dict[str, Any]:
    """The numbers inside a frame that is there already. Raises PictureError where it is not one of ours."""
    found = pictures_io.read_recipe(frame)
    names = ("losses", "frame") + (("flicker", "content_flicker", "trusted") if found.get("frame") else ())
    if any(name not in found for name in names):
        raise PictureError(f"{str(frame)!r} is no frame of a painted clip; remove its folder, or give another --out")
    return found


def run(
    recipe: StylizeClipRecipe,
    network: Network,
    folder: Path,
    record: Mapping[str, Any] | None = None,
    on_event: Listener | None = None,
    *,
    clip: Clip | None = None,
) -> StylizedClip:
    """Paint the clip into files of `folder`, going on after the frames that are there.

    `record` is what each frame's PNG carries, beside its numbers; `clip` the recipe's content, where it has been looked
    through already. One frame is in memory at a time, and the one before it. Raises InputError before anything is computed,
    LanternaError where a loss is not finite, and PictureError where a frame can't be written: those before it stay, and the
    next run goes on.
    """
    clip = clip or open_clip(recipe.content, most=recipe.frames)
    # Even sides, as video formats ask for too.
    size = even(parse_sides(recipe.size, clip.size[0] / clip.size[1]))
    studio = _studio(recipe, network, clip, size)
    base = _base(recipe, studio)
    mark = dict(describe(recipe, network, {}) if record is None else record)
    # A longer piece of the same clip has the same frames.
    compared = {key: mark[key] for key in ("network", "inputs")} | {"recipe": {**mark["recipe"], "frames": None}}
    files = ready_frames(folder, compared, clip.count)
    told, resumed = [_numbers_of(file) for file in files], len(files)
    painted = pictures_io.load(files[-1]) if files else None
    before: Tensor | None = None
    series = Series(on_event, clip.count - resumed)
    for index, now in enumerate(clip.frames(size)):
        if index >= resumed and not series.stopped:
            series.enter(f"frame {index + 1} of {clip.count}")
            motion = None if before is None else _Motion.between(before, now)
            here = replace(studio, content=now)
            made, scale, stopped = _painted(here, base(now), motion, painted, series.part(1))
            if stopped:
                # Half a frame is none: the next run makes it whole.
                break
            picture = _rounded(with_colours_of(made, now) if recipe.color == "luminance" else made)
            numbers: dict[str, Any] = {"frame": index, "losses": losses_of(here, picture, scale)}
            if motion is not None and before is not None and painted is not None:
                numbers["flicker"] = flicker(picture, warped(painted, motion.back), motion.trusted)
                numbers["content_flicker"] = flicker(now, warped(before, motion.back), motion.trusted)
                numbers["trusted"] = float(motion.trusted.mean())
            files.append(pictures_io.save(picture, frame_file(folder, index), recipe={**mark, **numbers}))
            told.append(numbers)
            painted = picture
        before = now
    terms = told[0]["losses"] if told else ()

    def numbers_of(name: str) -> tuple[float, ...]:
        return tuple(one[name] for one in told[1:])

    return StylizedClip(
        recipe,
        tuple(files),
        size,
        clip.fps,
        flicker=numbers_of("flicker"),
        content_flicker=numbers_of("content_flicker"),
        trusted=numbers_of("trusted"),
        losses={name: sum(one["losses"][name] for one in told) / len(told) for name in terms},
        resumed=resumed,
        stopped=series.stopped,
    )
