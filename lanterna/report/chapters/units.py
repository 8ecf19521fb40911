"""Hidden layers and their patterns: of units through the depth what was made, what was found, and what is seen there."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.errors import LanternaError
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.layer import Layer
from lanterna.networks.network import Network
from lanterna.progress import Series
from lanterna.report import papers
from lanterna.report.chapter import Chapter, ChapterKind, Context, framed, left_out
from lanterna.report.how import command, how
from lanterna.report.pace import fitting, step_cost
from lanterna.report.page import render
from lanterna.report.patches import likeness, picture_of
from lanterna.techniques.found import Patterns, UnitPatterns
from lanterna.techniques.panels import unit_panels
from lanterna.techniques.patterns import FEW_PLACES, PatternsRecipe
from lanterna.techniques.patterns import run as find_patterns
from lanterna.techniques.visualize import Visualization, VisualizeRecipe, run

__all__ = ["KIND", "telling_units"]

# Below this many steps shapes are not there yet; above, little changes.
_LEAST_STEPS, _MOST_STEPS = 48, 256
# Of the chapter's time: the pass over real pictures and the projections.
_FOUND = 0.3


def telling_units(network: Network, layers: Sequence[str], picture: Tensor, count: int) -> dict[str, list[int]]:
    """The channels of each layer that this picture excites most, in standard deviations over the sample pictures."""

    def means(pixels: Tensor) -> dict[str, Tensor]:
        return {layer: features[0].flatten(1).mean(1) for layer, features in network.capture(pixels, layers).items()}

    size = (picture.shape[2], picture.shape[3])
    here = means(picture)
    usual = [means(sample) for sample in pictures_io.samples_at(size)]
    telling: dict[str, list[int]] = {}
    for layer in layers:
        others = torch.stack([found[layer] for found in usual])
        # A floor under the deviation: a unit that is off in every sample is no wonder when it is barely on here.
        score = (here[layer] - others.mean(0)) / (others.std(0) + 0.05 * others.std(0).max() + 1e-12)
        telling[layer] = sorted(score.topk(min(count, len(score))).indices.tolist())
    return telling


def _steps(context: Context, layers: Sequence[str], seconds: float) -> int:
    """How many steps of all pictures fit into the seconds, from the time of a few real ones."""
    if context.recipe.steps is not None:
        return context.recipe.steps
    cost = 0.0
    for layer in {layers[0], layers[len(layers) // 2], layers[-1]}:
        count = min(context.recipe.units, context.network.layer(layer).channels)
        probe = VisualizeRecipe(units=(f"{layer}:0-{count - 1}",), size=str(context.side), steps=2)
        try:
            cost += step_cost(lambda listen, probe=probe: run(probe, context.network, listen)) * len(layers) / 3  # type: ignore[misc]  # a default keeps this turn's probe
        except LanternaError:
            continue  # all of these are dead; the others tell enough
    return fitting(seconds, cost, _LEAST_STEPS, _MOST_STEPS)


def _shown(result: Visualization, found: Patterns | None) -> list[dict[str, Any]]:
    """One entry for each unit of a layer: the picture made, its numbers, and what was found, seen, and the control."""
    panels = {} if found is None else {one.unit: (one, unit_panels(one, found)[0]) for one in found.units}
    samples = result.sample_activation or (None,) * len(result.units)
    shown = []
    for i, (unit, activation, start, sample, dead) in enumerate(
        zip(result.units, result.activation, result.start_activation, samples, result.dead, strict=True)
    ):
        one, pictures = panels.get(unit, (None, []))
        shown.append(
            {
                "picture": _with_filter(result, i),
                # A picture beside its filter is none that the technique makes by itself.
                "made": None if result.exact[i] else (result.recipe, i),
                "exact": result.exact[i],
                "title": unit.title,
                "activation": activation,
                "start": start,
                "sample": sample,
                "dead": dead,
                "found": _found(one) if one else None,
                "panels": pictures,
            }
        )
    return shown


def _with_filter(result: Visualization, index: int) -> Tensor:
    """The picture, beside its filter where it is an answer in closed form."""
    picture = result.pictures[index].cpu()
    filtered = result.filters[index] if result.exact[index] else None
    if filtered is None:
        return picture
    return torch.cat([filtered[0], torch.ones(*picture.shape[:2], max(1, picture.shape[2] // 40)), picture], 2)


def _found(one: UnitPatterns) -> dict[str, Any]:
    values = [place.value for place in one.found]
    whole = any(place.place is None for place in one.found)
    names = list(dict.fromkeys(picture_of(place.sample) for place in one.found))
    kept = one.scan.kept.numel() > 0
    return {
        # What 99 of 100 crops stay below, measured as the made picture is: the mean over the map.
        "usual": float(one.scan.quantiles([0.99])[0, one.unit.channel]) if kept else None,
        "places": len(values),
        "most": max(values, default=0.0),
        "least": min(values, default=0.0),
        "alike": one.alike,
        "whole": whole,
        "borders": len(one.border),
        "border_highest": one.highest is not None and one.highest.border,
        "names": names[:4],
    }


def _alike(found: Patterns | None, layer: Layer) -> float | None:
    """How much the projections of a layer are those of shuffled weights: the mean over its units."""
    alike = [one.alike for one in found.units if one.unit.layer == layer.name and one.alike is not None] if found else []
    return sum(alike) / len(alike) if alike else None


def _make(context: Context, series: Series) -> Chapter | None:
    recipe, network = context.recipe, context.network
    layers = layers_through_depth(network, recipe.depths)
    if not layers:
        return left_out(KIND.name, "no_maps", network=network.name)
    names = [layer.name for layer in layers]
    pictures_fit = network.channels in (1, 3)
    seconds = context.seconds * (1 - _FOUND) if pictures_fit else context.seconds
    steps = _steps(context, names, seconds)
    telling = telling_units(network, names, context.small, recipe.units)
    made: list[tuple[Layer, VisualizeRecipe, Visualization]] = []
    for layer in layers:
        if series.stopped:
            break
        units = tuple(f"{layer.name}:{unit}" for unit in telling[layer.name])
        asked = VisualizeRecipe(units=units, size=str(context.side), steps=steps, seed=recipe.seed)
        made.append((layer, asked, run(asked, network, series.part(seconds / len(layers)))))
    if not made:
        return None
    found = patterns = None
    if pictures_fit and not series.stopped:
        data = f"folder:{recipe.pictures}" if recipe.pictures else "samples"
        units = tuple(f"{name}:{unit}" for name in names for unit in telling[name])
        patterns = PatternsRecipe(
            units=units,
            data=data,
            steps=0,
            size=str(context.side),
            seed=recipe.seed,
            top=FEW_PLACES if context.hurried else None,
        )
        found = find_patterns(patterns, network, series.part(context.seconds * _FOUND))
    alike = likeness(network, found, names[-1]) if found else None
    few = found is not None and found.few
    rows: list[dict[str, Any]] = [
        {"layer": layer, "units": _shown(result, found), "alike": _alike(found, layer)} for layer, _, result in made
    ]
    shown = [unit for row in rows for unit in row["units"] if not unit["dead"]]
    # What is known in closed form is above by its nature.
    over = [unit for unit in shown if unit["sample"] is not None and not unit["exact"]]
    values = {
        "picture": recipe.picture,
        "steps": steps,
        "first": layers[0],
        "last": made[-1][0],
        "units": sum(len(row["units"]) for row in rows),
        "over": sum(unit["activation"] > unit["sample"] for unit in over),
        "compared": len(over),
        "exact": sum(unit["exact"] for unit in shown),
        "likeness": alike,
        "deepest": names[-1],
        "found": found,
        "few": few,
    }
    figure = render("units.html", rows=rows, recipe=recipe, network=network, found=found, **{"steps": steps})
    last = made[-1][1]
    said = command("visualize", network.source, *last.units, size=last.size, steps=steps, seed=last.seed, arch=context.arch)
    hows = [how(last, run, network, context.arch, said)]
    if patterns:
        said = command(
            "patterns", network.source, *patterns.units, data=patterns.data, top=patterns.top, steps=0, size=patterns.size,
            seed=patterns.seed, arch=context.arch,
        )  # fmt: skip
        hows.append(how(patterns, find_patterns, network, context.arch, said))
    return framed(
        KIND.name,
        figure,
        values=values,
        holds=None if alike is None or few else alike["within"] > alike["between"] + alike["error"],
        how=hows,
        papers=(papers.OLAH, papers.ZEILER, papers.SPRINGENBERG, papers.ADEBAYO),
        numbers=_numbers(made, found, alike),
        random=context.random,
    )


def _numbers(
    made: Sequence[tuple[Layer, VisualizeRecipe, Visualization]], found: Patterns | None, alike: dict[str, Any] | None
) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "layers": [
            {
                "layer": layer.name,
                "units": [unit.title for unit in result.units],
                "activation": list(result.activation),
                "sample_activation": result.sample_activation,
                "steps": result.steps,
            }
            for layer, _, result in made
        ]
    }
    if found is not None:
        numbers["patterns"] = {
            "data": found.data,
            "pictures": found.pictures,
            "samples": found.samples,
            "unreadable": dict(found.unreadable),
            "likeness": alike,
            "units": [one.numbers() for one in found.units],
        }
    return numbers


KIND = ChapterKind("units", 2, 5.0, _make)
