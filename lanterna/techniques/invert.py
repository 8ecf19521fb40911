"""What a layer keeps of a picture: start from noise and look for pictures with the same representation.

Mahendran and Vedaldi, "Understanding Deep Image Representations by Inverting Them", CVPR 2015. Departures, each for what
docs/invert.md explains: the stride of gradient descent is given instead of its rate; the prior is total variation alone, its
weight fades, and goes by how much of the picture a layer sees.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.ascent import Optimizer, ascend, cosine
from lanterna.bounds import check_reach
from lanterna.canvas import Canvas, CanvasName, PictureCanvas, make_canvas
from lanterna.errors import InputError, UnknownNameError
from lanterna.events import STOP, Done, Event, Listener, Preview, Started, Stepped
from lanterna.jitter import Jitter
from lanterna.lbfgs import BatchLBFGS
from lanterna.momentum import NormalizedMomentum
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.network import LOGITS, Network
from lanterna.objectives import PICTURE, Measure, Objective, resemblance, spread
from lanterna.pictures.colour import luminance, natural_colours
from lanterna.recipe import Names, Recipe
from lanterna.techniques.inversion import Inversion, Recreation
from lanterna.techniques.invert_even import EvenParts, even_parts
from lanterna.techniques.invert_even_deep import deep_even_parts
from lanterna.techniques.invert_natural import natural_prior
from lanterna.techniques.invert_prior import COLOURS, PriorName, blindness, even_prior, prior_of
from lanterna.techniques.likeness import (
    SSIM_WINDOW,
    Real,
    classifies,
    kept,
    load_judge,
    mean_pair_distance,
    psnr,
    real_distances,
    same_class,
    ssim,
)
from lanterna.techniques.units import parse_size
from lanterna.warmed import Warmed
from lanterna.wording import listed

__all__ = ["Inversion", "InvertRecipe", "Recreation", "run"]

ALL = "all"
# How many layers `all` stands for.
DOZEN = 12

# The longest step, as root mean square over the pixels: at the start, from where it falls to nothing along a cosine. So long
# that no small valley holds the picture (`benchmarks/invert.py --schedules`). From a picture it is shorter, so that what the
# layer allows to stay of it stays.
STRIDE, STRIDE_FROM_PICTURE = 0.2, 0.02

# What follows is for the Fourier canvas.
# Pairs of steps that the optimiser remembers: more were no better, and each costs time in every step.
HISTORY = 10

# The share of the steps that Adam takes before L-BFGS, and its rate: without them L-BFGS goes down into the nearest valley,
# where colours are wrong.
WARM, WARM_LR = 0.25, 0.02

# What a position sees, in pixels, from which on a layer hardly tells contrast and colours where it sees the whole picture
# too. With 147 px it still does: at blocks.3 of efficientnet_lite0 a photograph came back with 19.5 dB, and with 14.7 where
# contrast and colours were those of photographs in general.
ALL_SEEN = 190

# Length of the first step, in Fourier coefficients: a long one changes the colour of everything, and it stays so.
FIRST = 0.01


class InvertRecipe(Recipe):
    """All that decides the pictures; the same recipe gives the same bits on the same machine."""

    technique: Literal["invert"] = "invert"
    schema_version: Literal[1] = 1
    layers: Annotated[tuple[str, ...], Field(min_length=1, description="layers to recreate the picture from, or all")]
    picture: Annotated[str, Names("picture"), Field(description="the photograph: a file, or the name of a sample picture")]
    samples: Annotated[int, Field(ge=1, le=64, description="pictures of each layer, by chance different")] = 6
    start: Annotated[str, Names("picture", ("noise",)), Field(description="noise, or a picture to start from")] = "noise"
    prior: Annotated[
        PriorName,
        Field(
            description="what is known of pictures: pixels with total variation, alpha norm or nothing, or the Fourier canvas"
        ),
    ] = "tv"
    weight: Annotated[float, Field(ge=0, description="factor of the prior's own weight")] = 1.0
    measure: Annotated[Measure, Field(description="what same representation means")] = "squared"
    channels: Annotated[str | None, Field(description="match only these channels, such as 0-31,40")] = None
    region: Annotated[
        str | None, Field(description="match only this part of the map: ROW,COLUMN,HEIGHTxWIDTH, in positions of the layer")
    ] = None
    spread: Annotated[float, Field(ge=0, description="how strongly the samples are driven apart")] = 0.0
    spread_at: Annotated[str, Field(description="where they are driven apart: picture, or a layer")] = PICTURE
    steps: Annotated[int, Field(ge=0, le=100_000, description="steps for each layer; 0 gives the start")] = 400
    size: Annotated[str | None, Field(description="side in pixels, or HEIGHTxWIDTH; by default the network's own")] = None
    native: Annotated[bool, Field(description="keep the picture's own size and shape")] = False
    judge: Annotated[
        str | None,
        Names("network", ("none",)),
        Field(description="a second network with the same classes, or none; by default a built-in one that is here"),
    ] = None


def resolve_layers(names: Sequence[str], network: Network) -> list[str]:
    """The layers that `names` mean, `all` being about a dozen through the depth. Raises UnknownNameError, InputError."""
    if ALL in names:
        if len(names) > 1:
            raise InputError(f"'all' stands alone, it was given with {listed(name for name in names if name != ALL)}")
        ends = [LOGITS] if classifies(network) else []
        return [layer.name for layer in layers_through_depth(network, DOZEN - len(ends))] + ends
    for name in names:
        try:
            network.layer(name)
        except UnknownNameError as error:
            # A unit where a layer is meant is the usual slip: visualize takes those.
            if ":" in name:
                raise InputError(
                    f"{name!r} is a unit; a layer is meant: {name.partition(':')[0]}, and --channels for some of it"
                ) from error
            raise
    return list(dict.fromkeys(names))


def _parse_channels(text: str | None, layers: Sequence[str], network: Network) -> list[int] | None:
    if text is None:
        return None
    chosen: list[int] = []
    fewest = min((network.layer(name) for name in layers), key=lambda layer: layer.channels)
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None or int(match[1]) > int(match[2] or match[1]):
            raise InputError(f"channels {text!r} are not channels; give numbers and ranges, such as 0-31,40")
        last = int(match[2] or match[1])
        if last >= fewest.channels:
            raise InputError(f"channel {last} is out of range; layer {fewest.name!r} has channels 0 to {fewest.channels - 1}")
        chosen += range(int(match[1]), last + 1)
    return list(dict.fromkeys(chosen))


def _parse_region(text: str | None, found: dict[str, Tensor]) -> tuple[int, int, int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+),(\d+),(\d+)x(\d+)", text)
    if match is None:
        raise InputError(f"region {text!r} is not a region; give ROW,COLUMN,HEIGHTxWIDTH, such as 2,3,4x4")
    top, left, height, width = (int(part) for part in match.groups())
    for layer, features in found.items():
        if features.ndim != 4:
            raise InputError(f"layer {layer!r} has no map, so it has no region; leave --region out for it")
        rows, columns = features.shape[2:]
        if min(height, width) < 1 or top + height > rows or left + width > columns:
            raise InputError(f"region {text} does not lie in layer {layer!r}, whose map is {rows}x{columns}")
    return top, left, height, width


@dataclass(frozen=True)
class _Task:
    """What all layers of one run share."""

    recipe: InvertRecipe
    network: Network
    original: Tensor
    references: dict[str, Tensor]
    real: Real
    channels: list[int] | None
    region: tuple[int, int, int, int] | None
    start: Tensor | None
    judge: Network | None
    best_class: int | None

    @property
    def size(self) -> tuple[int, int]:
        return self.original.shape[2], self.original.shape[3]


def _load(name: str, recipe: InvertRecipe, network: Network, given: Tensor | None = None) -> Tensor:
    """A picture at the size the recipe asks for, with as many channels as the network's canvas."""
    if network.channels not in (1, 3):
        raise InputError(f"{network.name} takes {network.channels} channels, so no picture has a representation in it")
    if recipe.native and recipe.size is not None:
        raise InputError(f"--native keeps the picture's size, so --size {recipe.size} can't be had as well; give one of them")
    size = None if recipe.native else parse_size(recipe.size, network)
    picture = pictures_io.load(name, size=size) if given is None else pictures_io.fitted(given, size)
    if min(picture.shape[2:]) < SSIM_WINDOW:
        given_size = f"{picture.shape[2]}x{picture.shape[3]}"
        raise InputError(f"a picture of {given_size} is too small to compare; the least is {SSIM_WINDOW}x{SSIM_WINDOW}")
    return luminance(picture) if network.channels == 1 else picture


def _prepare(recipe: InvertRecipe, network: Network, given: Tensor | None) -> tuple[_Task, list[str]]:
    layers = resolve_layers(recipe.layers, network)
    if recipe.spread and recipe.spread_at != PICTURE:
        network.layer(recipe.spread_at)
    channels = _parse_channels(recipe.channels, layers, network)
    original = _load(recipe.picture, recipe, network, given)
    size = (original.shape[2], original.shape[3])
    start = None
    if recipe.start != "noise":
        start = _load(recipe.start, recipe.model_copy(update={"native": False, "size": f"{size[0]}x{size[1]}"}), network)
    classes = [LOGITS] if classifies(network) else []
    check_reach(network, size, pictures=recipe.samples, steps=recipe.steps * len(layers), layers=tuple(layers))
    network.check_size(size, [*layers, *classes])
    judge = load_judge(recipe.judge, network)
    # One pass for all layers, and for the photograph's class.
    found = network.capture(original, [*dict.fromkeys([*layers, *classes])])
    references = {layer: found[layer] for layer in layers}
    region = _parse_region(recipe.region, references)
    best = int(found[LOGITS].argmax()) if classes else None
    real = real_distances(network, layers, size)
    return _Task(recipe, network, original, references, real, channels, region, start, judge, best), layers


def _even(task: _Task) -> dict[str, EvenParts]:
    """What the layers tell of even parts; only where all of a layer is to be matched, from noise, by its squared distance."""
    recipe = task.recipe
    partly = recipe.channels is not None or recipe.region is not None or recipe.measure != "squared"
    if recipe.prior != "tv" or not recipe.weight or not recipe.steps or recipe.start != "noise" or partly:
        return {}
    # What sees beyond the edges sees no even part.
    within = {layer: reference for layer, reference in task.references.items() if _share(task, layer) < 1}
    deep = {layer: within[layer] for layer in within if blindness(task.network.layer(layer).receptive_field) == 1}
    shallow = {layer: within[layer] for layer in within if layer not in deep}
    return even_parts(task.network, shallow, task.size) | deep_even_parts(task.network, deep, task.size)


def _share(task: _Task, layer: str) -> float:
    """How much one position of the layer sees, in sides of the picture: more than 1 where it looks beyond the edges."""
    sees = task.network.layer(layer).receptive_field
    # What gathers from everywhere sees at least as much as any map.
    seen = sees or max((other.receptive_field or task.size for other in task.network.layers()), key=max)
    return max(seen) / min(task.size)


def _sees_all(task: _Task, layer: str) -> bool:
    """Whether contrast and colours come from photographs in general: where a position sees the whole picture.

    From a picture they are there. The other priors are what their names say.
    """
    recipe = task.recipe
    if recipe.prior not in ("tv", "fourier") or not recipe.weight or recipe.start != "noise":
        return False
    sees = task.network.layer(layer).receptive_field
    return sees is None or (max(sees) >= ALL_SEEN and _share(task, layer) >= 1)


def _objective(task: _Task, layer: str, even: EvenParts | None) -> Objective:
    recipe = task.recipe
    wanted = resemblance(layer, task.references[layer], measure=recipe.measure, channels=task.channels, region=task.region)
    if _sees_all(task, layer):
        wanted = wanted - natural_prior(task.size, task.network.channels, recipe.weight)
    elif recipe.weight and recipe.prior != "none":
        blind = blindness(task.network.layer(layer).receptive_field)
        told = task.references[layer].numel() / task.original.numel()
        share = _share(task, layer)
        wanted = wanted - prior_of(recipe.prior, recipe.weight, share, told, blind, task.network.channels)
        if even is not None:
            wanted = wanted - even_prior(even, recipe.weight, share, blind)
    if recipe.spread:
        wanted = wanted + recipe.spread * spread(recipe.spread_at)
    return wanted


def run(
    recipe: InvertRecipe, network: Network, on_event: Listener | None = None, *, picture: Tensor | None = None
) -> Inversion:
    """Pictures with the same representation as the recipe's picture, for each of its layers.

    `picture` (1, 3, H, W) in [0, 1], if given, is the photograph instead of the file that the recipe names. Raises
    InputError before anything is computed where a layer, size, channel, region or picture is wrong.
    """
    task, layers = _prepare(recipe, network, picture)
    listening = on_event or (lambda _event: None)
    total = recipe.steps * len(layers)
    stopped = listening(Started(total, recipe.samples)) == STOP
    even = {} if stopped else _even(task)
    recreations: list[Recreation] = []
    done = 0
    for layer in layers:
        if stopped:
            break

        def listen(event: Event, before: int = done) -> Literal["stop"] | None:
            if isinstance(event, Stepped):
                return listening(Stepped(before + event.step, total, event.values))
            if isinstance(event, Preview):
                return listening(Preview(before + event.step, total, event.pictures))
            return None

        made, steps, stopped = _recreate(task, layer, even.get(layer), listen)
        done += steps
        recreations.append(made)
    listening(Done(done, stopped))
    return Inversion(
        recipe=recipe,
        original=task.original.expand(-1, 3, -1, -1),
        recreations=tuple(recreations),
        judge=task.judge.name if task.judge else None,
        steps=done,
        stopped=stopped,
    )


def _recreate(task: _Task, layer: str, even: EvenParts | None, listen: Listener) -> tuple[Recreation, int, bool]:
    """All samples of one layer in one batch, with the number of steps done and whether a listener stopped them."""
    recipe, network = task.recipe, task.network
    # The same noise for each layer, so that what differs between layers is the layers' doing.
    generator = torch.Generator().manual_seed(recipe.seed)
    shape = (recipe.samples, network.channels, *task.size)
    start = None if task.start is None else task.start.expand(recipe.samples, -1, -1, -1)
    fourier = _fourier(task, layer)
    name: CanvasName = "fourier" if fourier else "pixels"
    if start is None:
        # Around the mean colour of pictures: deep layers hardly say what the colour is.
        with torch.no_grad():
            noise = make_canvas(name, shape, generator).render()
        natural = torch.cat(pictures_io.samples_at(task.size)).mean((0, 2, 3)).view(1, 3, 1, 1)
        natural = luminance(natural) if network.channels == 1 else natural
        start = (noise - 0.5 + natural).clamp(0, 1)
    # The pixels as they are, because behind a sigmoid long strides end where it is flat.
    canvas: Canvas = PictureCanvas(start.to(network.device, copy=True))
    if fourier:
        canvas = make_canvas(name, shape, generator, pictures=start, device=network.device)
    result = ascend(
        canvas,
        _objective(task, layer, even),
        network,
        size=task.size,
        steps=recipe.steps,
        generator=generator,
        lr=1.0 if fourier else _stride(task, layer),
        schedule=None if fourier else cosine,
        # Nothing moves: a representation says where things are.
        jitter=Jitter.none(),
        optimizer=_optimizer(task, layer),
        redirected_steps=0,
        on_event=listen,
    )
    return _measured(task, layer, result.pictures, result.trace), result.steps, result.stopped


def _fourier(task: _Task, layer: str) -> bool:
    return task.recipe.prior == "fourier" or _sees_all(task, layer)


def _stride(task: _Task, layer: str) -> float:
    stride = STRIDE if task.start is None else STRIDE_FROM_PICTURE
    # The deepest layers are matched by much that is unlike the photograph; long strides lead far into it.
    return stride / math.sqrt(max(1.0, _share(task, layer)))


def _optimizer(task: _Task, layer: str) -> Optimizer:
    recipe = task.recipe
    if not _fourier(task, layer):
        if recipe.prior != "tv" or task.network.channels != 3:
            return NormalizedMomentum
        blind = blindness(task.network.layer(layer).receptive_field)
        return partial(NormalizedMomentum, colours=natural_colours(COLOURS * blind))
    quasi_newton = partial(BatchLBFGS, history=HISTORY, first=FIRST)
    return partial(Warmed, steps=round(WARM * recipe.steps), warm_lr=WARM_LR, then=quasi_newton)


def _measured(task: _Task, layer: str, pictures: Tensor, trace: Tensor) -> Recreation:
    """The numbers of what is saved: 8 bits a channel."""
    network = task.network
    final = (pictures * 255).round() / 255
    features = network.capture(final, [layer])[layer]
    reference = task.references[layer]
    distance = (features - reference).flatten(1).square().sum(1)
    # A silent layer has no length: the distance itself then.
    energy = float(reference.square().sum()) or 1.0
    several = len(final) > 1
    final = final.cpu()
    return Recreation(
        layer=layer,
        pictures=final.expand(-1, 3, -1, -1),
        feature_error=tuple((distance / energy).tolist()),
        pair_error=tuple((distance / (task.real.pairs[layer] or 1.0)).tolist()),
        psnr=psnr(final, task.original),
        ssim=ssim(final, task.original),
        top1_kept=None if task.best_class is None else kept(network, final, task.best_class, 1),
        top5_kept=None if task.best_class is None else kept(network, final, task.best_class, 5),
        judge_agrees=None if task.judge is None else same_class(task.judge, final, task.original),
        pixel_distance=float(mean_pair_distance(final)) / final[0].numel() if several else None,
        feature_distance=float(mean_pair_distance(features)) / energy if several else None,
        real_pixel_distance=task.real.six_pixels,
        real_feature_distance=task.real.six[layer] / energy,
        trace=trace.cpu(),
    )
