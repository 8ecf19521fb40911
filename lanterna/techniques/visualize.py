"""What excites a unit: start from noise, or from any picture, and change it until the unit fires.

Olah, Mordvintsev and Schubert, "Feature Visualization", Distill 2017; Erhan et al., "Visualizing Higher-Layer Features of a
Deep Network", 2009.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.ascent import REDIRECTED_STEPS, Ascent, ascend, memory_told
from lanterna.bounds import check_reach
from lanterna.canvas import CanvasName, make_canvas, pad_reflect
from lanterna.errors import InputError, LanternaError
from lanterna.events import Event, Listener, Preview
from lanterna.jitter import Jitter, middle
from lanterna.networks.network import LOGITS, Network
from lanterna.objectives import PICTURE, Objective, diversity, each
from lanterna.pictures.colour import luminance
from lanterna.priors import high_frequency, l2, total_variation
from lanterna.recipe import Names, Recipe
from lanterna.techniques.measure import measure, silent, values_of
from lanterna.techniques.units import Unit, parse_size, parse_units
from lanterna.techniques.visualization import Visualization

__all__ = ["Visualization", "VisualizeRecipe", "parse_size", "run"]

STRIP_PICTURES = 6

# Fourier: low frequencies count for more with this decay than with Lucid's 1 (at 0.05), so steps are smaller.
# MaCo: radians; its paper's 1.0 is for the mean over many crops a step, and with one view a step gives clouds.
LEARNING_RATE: dict[CanvasName, float] = {"fourier": 0.02, "pixels": 0.05, "maco": 0.1}

# Priors weigh at least this much: without any to speak of, units of the first layers fill the picture with one flat colour.
_LEAST_SHARE = 0.06


# Of the shorter side: the default shift at 160 px.
_SHIFT_SHARE = 0.15

# A unit that sees less of the picture's side than this is woken at each position: it would fill the corner where it fires.
# One that sees more spreads by itself, and came less far so (relu5_3 of vgg16_hed, 48 steps: two thirds of the activation).
_LOCAL_SHARE = 0.25


class VisualizeRecipe(Recipe):
    """All that decides the pictures; the same recipe gives the same bits on the same machine."""

    technique: Literal["visualize"] = "visualize"
    schema_version: Literal[1] = 1
    units: Annotated[tuple[str, ...], Field(min_length=1, description="LAYER:CHANNEL[@ROW,COLUMN], LAYER:0-5, logits:NAME")]
    start: Annotated[str, Names("picture", ("noise",)), Field(description="noise, or a picture to start from")] = "noise"
    size: Annotated[str | None, Field(description="side in pixels, or HEIGHTxWIDTH; by default the network's own")] = None
    steps: Annotated[int, Field(ge=0, le=100_000, description="steps of ascent; 0 gives the start")] = 256
    canvas: Annotated[CanvasName, Field(description="what is optimised")] = "fourier"
    diversity: Annotated[int, Field(ge=1, le=64, description="pictures of each unit, pushed apart")] = 1
    minimize: Annotated[bool, Field(description="what the unit likes least")] = False
    lr: Annotated[float | None, Field(gt=0, description="learning rate; by default the canvas's own")] = None
    tv: Annotated[float, Field(ge=0, description="weight of total variation")] = 0.0
    restrain: Annotated[
        float | None,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="weight of the distance to grey [120], or to the picture it starts from [500]",
        ),
    ] = None
    decay: Annotated[
        float | None,
        Field(ge=0, le=4, description="how much the Fourier canvas prefers low frequencies [1.35; 1 from a picture]"),
    ] = None
    smooth: Annotated[float, Field(ge=0, description="weight of the high-frequency penalty")] = 3000.0
    shift: Annotated[
        float, Field(ge=0, le=4096, description="how far views are moved, in pixels; at most 0.15 of the side")
    ] = 24.0
    rotate: Annotated[float, Field(ge=0, le=180, description="how far views are turned, in degrees")] = 20.0
    zoom: Annotated[float, Field(ge=1, le=4, description="views are enlarged or reduced by up to this factor")] = 1.4


def canvas_decay(recipe: VisualizeRecipe) -> float:
    """What low frequencies gain: from noise they have to be found, from a picture they are there and should stay."""
    return (1.35 if recipe.start == "noise" else 1.0) if recipe.decay is None else recipe.decay


def _restraint(recipe: VisualizeRecipe) -> float:
    return (120.0 if recipe.start == "noise" else 500.0) if recipe.restrain is None else recipe.restrain


def _fields(units: Sequence[Unit], network: Network, size: tuple[int, int]) -> tuple[int, ...]:
    """For each unit, the larger side of what it sees, in pixels; the picture's smaller side where that is less."""
    fields = [network.layer(unit.layer).receptive_field or size for unit in units]
    return tuple(min(*size, max(field)) for field in fields)


def _shares(fields: Sequence[int], size: tuple[int, int]) -> tuple[float, ...]:
    """For each unit, the share of the picture's side that it sees.

    Views turn and zoom, and priors weigh, in proportion to it: a turned or enlarged edge is another edge, and what sees
    little has nothing to gain from contrast that it does not need.
    """
    return tuple(field / min(size) for field in fields)


def _objective(
    units: Sequence[Unit], scales: Sequence[float], shares: Sequence[float], recipe: VisualizeRecipe, given: Tensor | None
) -> Objective:
    sign = -1 if recipe.minimize else 1
    weights = [max(share, _LEAST_SHARE) for share in shares]
    wanted = each([sign / scale * unit.objective for unit, scale in zip(units, scales, strict=True)])
    # Where the magnitude is held, contrast and grain are what they are, and priors on them only slow the phases down.
    held = recipe.canvas == "maco"
    priors = (
        (recipe.tv, total_variation()),
        (0.0 if held else recipe.smooth, high_frequency()),
        (0.0 if held else _restraint(recipe), l2(0.5 if given is None else given)),
    )
    for weight, prior in priors:
        if weight:
            wanted = wanted - weight * _weighted(prior, weights)
    if recipe.diversity > 1:
        wanted = wanted + _apart(units)
    return wanted


def _shifts(recipe: VisualizeRecipe, fields: Sequence[int], size: tuple[int, int]) -> tuple[float, ...]:
    """How far views are moved for each unit, in pixels.

    By no more than it sees: more teaches it nothing, and what lies near the border of the picture is in fewer views. Nor by
    more than a share of the picture: else, on a digit of 28 px, no two views have anything in common but their mean.
    """
    most = min(recipe.shift, _SHIFT_SHARE * min(size))
    return tuple(min(most, field) for field in fields)


def canvas_margin(recipe: VisualizeRecipe, fields: Sequence[int], size: tuple[int, int]) -> int:
    """How far the canvas reaches beyond the picture on all sides, so that no view sees a border: pixels.

    A little more than needed where that gives the Fourier transform sides with small prime factors, its fast ones.
    """
    least = round(max(_shifts(recipe, fields, size))) + round(max(fields) * (recipe.zoom - 1) / 4)
    if least == 0:
        return 0
    return min(range(least, least + 9), key=lambda margin: sum(_largest_factor(side + 2 * margin) for side in size))


def _largest_factor(number: int) -> int:
    factor, largest = 2, 1
    while factor * factor <= number:
        if number % factor == 0:
            number, largest = number // factor, factor
        else:
            factor += 1
    return max(number, largest)


def _weighted(objective: Objective, weights: Sequence[float]) -> Objective:
    """The objective times another weight for each picture of the batch."""
    return Objective(
        lambda features: (value := objective(features)) * value.new_tensor(weights), objective.layers, objective.name
    )


def _apart(units: Sequence[Unit]) -> Objective:
    """Pushes the pictures of the same unit apart, at that unit's own layer, or in the picture for a class."""
    groups: dict[tuple[str, int], list[int]] = {}
    for index, unit in enumerate(units):
        groups.setdefault((unit.layer, unit.channel), []).append(index)
    layers = {layer: PICTURE if layer == LOGITS else layer for layer, _ in groups}

    def value(features: "dict[str, Tensor]") -> Tensor:
        total = next(iter(features.values())).new_zeros(len(units))
        for (layer, _), members in groups.items():
            name = layers[layer]
            total = total.index_add(
                0, torch.tensor(members, device=total.device), diversity(name)({name: features[name][members]})
            )
        return total

    return Objective(value, frozenset(layers.values()), "diversity")  # type: ignore[arg-type]  # only reads


def _start(recipe: VisualizeRecipe, network: Network, size: tuple[int, int], margin: int, batch: int) -> Tensor | None:
    if recipe.start == "noise":
        return None
    if network.channels not in (1, 3):
        raise InputError(f"{network.name} takes {network.channels} channels, so it can only start from noise, not a picture")
    picture = pictures_io.load(recipe.start, size=size)
    if network.channels == 1:
        picture = luminance(picture)
    return pad_reflect(picture, margin).expand(batch, -1, -1, -1)


def _check(network: Network, units: Sequence[Unit], size: tuple[int, int]) -> None:
    """Raise InputError for a size the network can't take, or a position that is off the map at this size."""
    network.check_size(size, sorted({unit.layer for unit in units}))
    placed = [unit.objective for unit in units if unit.position is not None]
    if placed:
        # Maps grow with the picture, so only a look at one of this size tells.
        values_of(network, torch.full((len(placed), network.channels, *size), 0.5), each(placed))


def run(recipe: VisualizeRecipe, network: Network, on_event: Listener | None = None) -> Visualization:
    """Pictures that excite each of the recipe's units, all in one batch.

    Raises InputError before anything is computed where a unit, size or picture is wrong, and LanternaError where every
    unit is dead.
    """
    named = parse_units(recipe.units, network)
    units = [unit for unit in named for _ in range(recipe.diversity)]
    size = parse_size(recipe.size, network)
    check_reach(network, size, pictures=len(units), steps=recipe.steps, layers=tuple({unit.layer for unit in named}))
    fields = _fields(units, network, size)
    margin, shares = canvas_margin(recipe, fields, size), _shares(fields, size)
    given = _start(recipe, network, size, margin, len(units))
    _check(network, units, size)
    sample_activation, scales = measure(network, units, size)
    generator = torch.Generator().manual_seed(recipe.seed)
    shape = (len(units), network.channels, size[0] + 2 * margin, size[1] + 2 * margin)
    told = (
        f"memory ran out at {shape[0]} canvases of {shape[2]}x{shape[3]} with their margins; ask for fewer units at a time "
        "or a smaller --size"
    )
    with memory_told(told), torch.no_grad():
        canvas = make_canvas(
            recipe.canvas, shape, generator, pictures=given, decay=canvas_decay(recipe), device=network.device
        )
        first = middle(canvas.render(), size).clone()

    frames, moments = [first], [0]

    def listen(event: Event) -> Literal["stop"] | None:
        if isinstance(event, Preview) and event.step < recipe.steps and len(frames) < STRIP_PICTURES - 1:
            frames.append(event.pictures.clone())
            moments.append(event.step)
        return on_event(event) if on_event else None

    result: Ascent = ascend(
        canvas,
        _objective(units, scales, shares, recipe, None if given is None else given.to(network.device)),
        network,
        size=size,
        steps=recipe.steps,
        generator=generator,
        lr=recipe.lr or LEARNING_RATE[recipe.canvas],
        jitter=_jitter(recipe, fields, size),
        redirected_locally=torch.tensor([share < _LOCAL_SHARE for share in shares], device=network.device),
        optimizer=torch.optim.NAdam if recipe.canvas == "maco" else torch.optim.Adam,
        preview_every=max(recipe.steps // (STRIP_PICTURES - 1), 1),
        on_event=listen,
    )
    plain = each([unit.objective for unit in units])
    start_values = values_of(network, first, plain)
    judged = result.steps > 2 * REDIRECTED_STEPS
    dead = tuple(silent(network, result.pictures, plain, start_values) if judged else [False] * len(units))
    if all(dead):
        names = ", ".join(unit.title for unit in named)
        raise LanternaError(f"nothing moves {names}: dead unit, its gradient is zero everywhere; try another unit or --seed")
    # The numbers are those of the picture that is saved: 8 bits, in the middle, unmoved.
    final = (result.pictures * 255).round() / 255
    return Visualization(
        recipe=recipe,
        units=tuple(units),
        pictures=final.expand(-1, 3, -1, -1) if network.channels == 1 else final,
        activation=tuple(values_of(network, final, plain).tolist()),
        start_activation=tuple(start_values.tolist()),
        sample_activation=sample_activation,
        dead=dead,
        steps=result.steps,
        stopped=result.stopped,
        trace=result.trace.cpu(),
        strip=torch.stack([*frames, final]).cpu(),
        strip_steps=(*moments, result.steps),
    )


def _jitter(recipe: VisualizeRecipe, fields: Sequence[int], size: tuple[int, int]) -> Jitter:
    amount = _shares(fields, size)
    return Jitter(_shifts(recipe, fields, size), (1 / recipe.zoom, recipe.zoom), recipe.rotate, amount=amount)
