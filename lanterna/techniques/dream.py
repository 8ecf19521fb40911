"""Inceptionism: start from a picture and ask a layer for more of whatever it sees there.

Mordvintsev, Olah and Tyka, "Inceptionism: Going Deeper into Neural Networks", Google Research 2015, and their notebook. What
differs is said where it differs: `normalized.Shaping`, `wishes.wanted`, and mirrored surroundings instead of a roll.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.ascent import ascend
from lanterna.bounds import check_reach
from lanterna.canvas import PictureCanvas
from lanterna.errors import InputError, LanternaError
from lanterna.events import STOP, Done, Event, Expected, Listener, Preview, Started, Stepped
from lanterna.networks.network import Network
from lanterna.networks.untrained import untrained
from lanterna.normalized import NormalizedSteps, Shaping
from lanterna.objectives import Objective
from lanterna.pictures.colour import luminance
from lanterna.recipe import Names, Recipe
from lanterna.techniques.masks import load_mask
from lanterna.techniques.octaves import (
    USUAL_OCTAVES,
    USUAL_SIDE,
    check_octaves,
    expected_seconds,
    least_side,
    noise_picture,
    octave_sizes,
    steps_at,
    tile_side,
    usual_octaves,
)
from lanterna.techniques.paint import Sketch
from lanterna.techniques.units import parse_size
from lanterna.techniques.wishes import Wish, balanced, default_step_size, parse_wishes, sees_little, wanted
from lanterna.tiles import Reach, Tiles, mirrored, reach_of

__all__ = ["Dream", "DreamRecipe", "Dreamer", "run"]

# What goes in the colours of photographs of the steps for layers that see little, which else run into colours of their own.
_SHALLOW_COLOUR = 0.9
# Features of pictures larger than this are measured in their middle.
_MEASURED_SIDE = 448


class DreamRecipe(Recipe):
    """All that decides a dream; the same recipe gives the same bits on the same machine."""

    technique: Literal["dream"] = "dream"
    schema_version: Literal[1] = 1
    picture: Annotated[str, Names("picture", ("noise",)), Field(description="a file, a sample's name, or noise")]
    layers: Annotated[
        tuple[str, ...], Field(description="LAYER, LAYER:UNIT, either with =WEIGHT; by default the network's best layer")
    ] = ()
    octaves: Annotated[
        int | None,
        Field(
            ge=1,
            le=16,
            description=f"sizes dreamt at, from small to whole; by default {USUAL_OCTAVES}, fewer of what is too small for "
            f"them, and more with --native beyond {USUAL_SIDE} px",
        ),
    ] = None
    octave_scale: Annotated[float, Field(gt=1, le=4, description="from one size to the next")] = 1.4
    steps: Annotated[
        int, Field(ge=0, le=10_000, description=f"steps at each size; in proportion fewer where it is beyond {USUAL_SIDE} px")
    ] = 10
    step_size: Annotated[
        float | None,
        Field(gt=0, le=64, description="how far a step moves a pixel, in 8-bit levels; by default 2.5, or 1.2 for vgg16_hed"),
    ] = None
    guide: Annotated[
        str | None, Names("picture"), Field(description="a picture: more of what it has, where the picture resembles it")
    ] = None
    mask: Annotated[
        str | None, Names("picture"), Field(description="a picture: dreams where it is white, nothing where it is black")
    ] = None
    keep_color: Annotated[bool, Field(description="the picture's own colours, with the dream's light and dark")] = False
    native: Annotated[
        bool, Field(description=f"dream at the picture's own resolution also beyond {USUAL_SIDE} px, tile by tile")
    ] = False
    size: Annotated[str | None, Field(description="another size of the picture: longer side in pixels, or HEIGHTxWIDTH")] = (
        None
    )
    shift: Annotated[int, Field(ge=0, le=512, description="how far each step moves the picture, in pixels")] = 32
    restrain: Annotated[float, Field(ge=0, lt=1, description="share of the change that each step takes back")] = 0.02
    tile: Annotated[int | None, Field(ge=32, description="side of a tile in pixels; by default what memory allows")] = None
    untrained: Annotated[bool, Field(description="a control: the same network with random weights")] = False


@dataclass(frozen=True)
class Dream:
    """A dream (1, 3, H, W) in [0, 1], and how far it went.

    `activation` and `start_activation` are for each of `wishes` the root mean square of its layer, or its unit's mean, for
    the dream and for the picture before it (in the middle 448 px of larger ones). `sizes` are the octaves, `tiles` how many
    parts the largest took, and `exact` says whether parts and whole have the same gradient.
    """

    recipe: DreamRecipe
    wishes: tuple[Wish, ...]
    picture: Tensor
    start: Tensor
    activation: tuple[float, ...]
    start_activation: tuple[float, ...]
    sizes: tuple[tuple[int, int], ...]
    tiles: int
    exact: bool
    steps: int
    stopped: bool

    def _repr_html_(self) -> str:
        return pictures_io.to_html(self.picture, f"a dream of {', '.join(wish.title for wish in self.wishes)}")


def resize(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic; antialiased where it gets smaller. Values may overshoot."""
    if tuple(picture.shape[2:]) == size:
        return picture
    smaller = size[0] < picture.shape[2]
    mode = "bicubic" if smaller else "bilinear"
    return F.interpolate(picture, size, mode=mode, antialias=smaller, align_corners=False)


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    factor = min(side / max(size), 1.0)
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _with_colour_of(dream: Tensor, picture: Tensor) -> Tensor:
    """The light and dark (BT.601 luma) of the one, the colours of the other."""
    return (picture + luminance(dream - picture)).clamp_(0, 1)


@dataclass
class Dreamer:
    """What several dreams share, such as the frames of a film: everything that is checked, loaded and measured once."""

    recipe: DreamRecipe
    network: Network
    wishes: list[Wish]
    reach: Reach
    objective: Objective
    mask: Tensor | None
    shaping: Shaping = field(default_factory=Shaping)

    @classmethod
    def prepare(cls, recipe: DreamRecipe, network: Network, picture: Tensor) -> "Dreamer":
        """Check all input against `picture` (1, 3, H, W). Raises InputError and NetworkError before anything is dreamt."""
        wishes = parse_wishes(recipe.layers, network)
        layers = [wish.layer for wish in wishes]
        reach = reach_of(layers)
        size = (picture.shape[2], picture.shape[3])
        check_octaves(_working(recipe, size), recipe.octaves, recipe.octave_scale, network, reach, recipe.shift)
        if recipe.guide is not None and any(wish.unit is not None for wish in wishes):
            raise InputError("--guide goes with whole layers; leave out the unit, or the guide")
        mask = None
        if recipe.mask is not None:
            mask = load_mask(recipe.mask, size, whose="picture")
        if recipe.tile is not None:
            Tiles(reach, recipe.shift, recipe.tile)
        if recipe.untrained:
            network = untrained(network, recipe.seed)
        names = [layer.name for layer in layers]
        seen = _round_up(network, resize(picture, _fitted(size, max(network.input_size))).clamp(0, 1), reach)
        features = network.capture(seen, names)
        guide = _guide(recipe, network, names, reach)
        objective = wanted(wishes, [wish.weight for wish in wishes], features, guide)
        if guide is not None and float(objective(features)) <= 0:
            raise InputError(
                f"--guide {recipe.guide!r} has nothing in common with the picture at {', '.join(names)}; try another"
            )
        if len(wishes) > 1:
            weights = balanced(wishes, features, guide, network, seen)
            objective = wanted(wishes, weights, features, guide)
        colour = _SHALLOW_COLOUR if any(sees_little(layer) for layer in layers) else Shaping.colour
        shaping = Shaping(restrain=recipe.restrain, colour=colour, grey=network.channels == 1)
        return cls(recipe, network, wishes, reach, objective, mask, shaping)

    def sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """The octaves for a picture of `size`."""
        working = _working(self.recipe, size)
        least = least_side(self.network, self.reach)
        count = self.recipe.octaves or usual_octaves(working, self.recipe.octave_scale, least)
        return octave_sizes(working, count, self.recipe.octave_scale)

    def tiles(self) -> Tiles:
        """How the gradient is found: by tiles as large as memory allows, or as the recipe says."""
        side = self.recipe.tile or tile_side(self.network, {wish.layer.name for wish in self.wishes}, self.reach)
        return Tiles(self.reach, self.recipe.shift, side)

    def dream(
        self,
        picture: Tensor,
        generator: torch.Generator,
        on_event: Callable[[int, Event], Literal["stop"] | None],
        *,
        steps: int,
        keep: Callable[[Sketch], None] | None = None,
        resume: Sketch | None = None,
    ) -> tuple[Tensor, int, bool]:
        """Dream on `picture`: the dream, steps done, and whether it was stopped. Events come with the steps before them.

        `keep` gets a sketch after each step, from which `resume` goes on, with the same bits.
        """
        size = (picture.shape[2], picture.shape[3])
        source, device = self.tiles(), self.network.device
        detail: Tensor | None = None
        done, stopped, moved = 0, False, steps == 0 or resume is not None
        for index, octave in enumerate(self.sizes(size)):
            count = steps_at(steps, octave)
            if resume is not None and index < resume.scale:
                done += count
                continue
            # Nothing changes it: at the largest size the picture itself will do.
            base = picture if octave == size else resize(picture, octave).clamp_(0, 1)
            base = base.to(device)
            canvas = base.clone() if detail is None else resize(detail, octave).add_(base).clamp_(0, 1)
            mask = None if self.mask is None else resize(self.mask, octave).clamp_(0, 1).to(device)
            if resume is not None and index == resume.scale:
                canvas, first = resume.picture.to(device), resume.step
                generator.set_state(resume.state["generator"])
            else:
                first = 0

            def listen(
                event: Event, index: int = index, canvas: Tensor = canvas, before: int = done, first: int = first
            ) -> Literal["stop"] | None:
                if keep is not None and isinstance(event, Stepped):
                    state = {"generator": generator.get_state()}
                    keep(Sketch(index, first + event.step, canvas.detach().cpu().clone(), state))
                return on_event(before + first, event)

            result = ascend(
                PictureCanvas(canvas),
                self.objective,
                self.network,
                size=octave,
                steps=count - first,
                generator=generator,
                lr=(self.recipe.step_size or default_step_size(self.network)) / 255,
                optimizer=partial(NormalizedSteps, shaping=self.shaping, base=base, mask=mask),
                gradient=source,
                redirected_steps=0,
                on_event=listen,
            )
            done += first + result.steps
            stopped = result.stopped
            moved = moved or bool(result.moved.any())
            detail = result.pictures.sub_(base)
            if stopped:
                break
        if not moved and not stopped:
            raise LanternaError(
                f"nothing moves {', '.join(wish.title for wish in self.wishes)}: no gradient reaches the picture; "
                "try another layer"
            )
        assert detail is not None, "there is at least one octave"
        detail = resize(detail, size).to(picture.device)
        if self.mask is not None:
            detail.mul_(resize(self.mask, size).clamp_(0, 1).to(detail))
        dream = detail.add_(picture).clamp_(0, 1)
        return (_with_colour_of(dream, picture) if self.recipe.keep_color else dream), done, stopped


def _working(recipe: DreamRecipe, size: tuple[int, int]) -> tuple[int, int]:
    return size if recipe.native else _fitted(size, USUAL_SIDE)


def _round_up(network: Network, picture: Tensor, reach: Reach) -> Tensor:
    """The picture, at most 448 px of its middle, mirrored on to a multiple of the stride."""
    for axis in (2, 3):
        length = picture.shape[axis]
        kept = min(length, _MEASURED_SIDE)
        start = (length - kept) // 2
        wide = max(-(-kept // reach.align) * reach.align, reach.align)
        picture = picture.index_select(axis, mirrored(start, start + wide, length))
    return picture


def _guide(recipe: DreamRecipe, network: Network, names: Sequence[str], reach: Reach) -> dict[str, Tensor] | None:
    if recipe.guide is None:
        return None
    picture = pictures_io.load(recipe.guide, size=max(network.input_size))
    found = network.capture(_round_up(network, picture, reach), names)
    if any(float(features.abs().max()) == 0 for features in found.values()):
        raise InputError(f"--guide {recipe.guide!r} excites nothing at {', '.join(names)}; try another picture or layer")
    return found


def check_mask(recipe: DreamRecipe) -> None:
    """Raise InputError where the mask does not fit the picture, before a network is loaded for it."""
    if recipe.mask is None or recipe.picture == "noise":
        return
    size = [int(side) for side in (recipe.size or "").split("x") if side.isdecimal()]
    picture = pictures_io.load(recipe.picture)
    load_mask(recipe.mask, (size[0], size[1]) if len(size) == 2 else (picture.shape[2], picture.shape[3]), whose="picture")


def start_picture(recipe: DreamRecipe, network: Network) -> Tensor:
    """The picture at the size asked for, or noise. Raises PictureError and InputError."""
    if network.channels not in (1, 3):
        raise InputError(f"{network.name} takes {network.channels} channels; dreams are of pictures with 1 or 3")
    if recipe.picture == "noise":
        size = parse_size(recipe.size, network)
        check_reach(network, size, tiled=True)
        noise = noise_picture(size, torch.Generator().manual_seed(recipe.seed))
        # In colours that the network does not see the noise would stay as it is.
        return noise[:, :1].expand(-1, 3, -1, -1).contiguous() if network.channels == 1 else noise
    if recipe.size is None:
        return pictures_io.load(recipe.picture, reduced=not recipe.native)
    size = parse_size(recipe.size, network)
    return pictures_io.load(recipe.picture, size=size if "x" in recipe.size else size[0])


def run(
    recipe: DreamRecipe,
    network: Network,
    on_event: Listener | None = None,
    *,
    keep: Callable[[Sketch], None] | None = None,
    resume: Sketch | None = None,
) -> Dream:
    """Dream. `keep` gets a sketch after each step, from which `resume` goes on.

    Raises InputError before anything is dreamt where a layer, size or picture is wrong, LanternaError where nothing moves.
    """
    picture = start_picture(recipe, network)
    dreamer = Dreamer.prepare(recipe, network, picture)
    sizes = dreamer.sizes((picture.shape[2], picture.shape[3]))
    total = sum(steps_at(recipe.steps, size) for size in sizes)
    check_reach(network, sizes[-1], steps=total, tiled=True)

    def listen(before: int, event: Event) -> Literal["stop"] | None:
        if on_event is None or isinstance(event, Started | Done):
            # One run to the outside, with one beginning and one end.
            return None
        if isinstance(event, Stepped):
            return on_event(Stepped(before + event.step, total, event.values))
        if isinstance(event, Preview):
            return on_event(Preview(before + event.step, total, event.pictures))
        return on_event(event)

    stop = None
    if on_event is not None and max(sizes[-1]) > USUAL_SIDE:
        stop = on_event(Expected(_expected(dreamer, picture, sizes)))
    if on_event is not None and (on_event(Started(total, 1)) == STOP or stop == STOP):
        dream, steps, stopped = picture.clone(), 0, True
    else:
        generator = torch.Generator().manual_seed(recipe.seed)
        dream, steps, stopped = dreamer.dream(picture, generator, listen, steps=recipe.steps, keep=keep, resume=resume)
    if on_event is not None:
        on_event(Done(steps, stopped))
    dream = dream.mul_(255).round_().div_(255)
    source = dreamer.tiles()
    return Dream(
        recipe=recipe,
        wishes=tuple(dreamer.wishes),
        picture=dream,
        start=picture,
        activation=norms(dreamer, dream),
        start_activation=norms(dreamer, picture),
        sizes=tuple(sizes),
        tiles=len(source.spans(sizes[-1][0])) * len(source.spans(sizes[-1][1])),
        exact=dreamer.reach.exact,
        steps=steps,
        stopped=stopped,
    )


def _expected(dreamer: Dreamer, picture: Tensor, sizes: Sequence[tuple[int, int]]) -> float:
    work = [(size, steps_at(dreamer.recipe.steps, size)) for size in sizes]
    return expected_seconds(picture, dreamer.objective, dreamer.network, dreamer.tiles(), dreamer.shaping, work)


def norms(dreamer: Dreamer, picture: Tensor) -> tuple[float, ...]:
    """For each wish, how strongly `picture` excites it: a layer's root mean square, or a unit's mean."""
    names = [wish.layer.name for wish in dreamer.wishes]
    found = dreamer.network.capture(_round_up(dreamer.network, picture, dreamer.reach), names)
    return tuple(
        float(
            found[wish.layer.name].square().mean().sqrt()
            if wish.unit is None
            else found[wish.layer.name][:, wish.unit].mean()
        )
        for wish in dreamer.wishes
    )
