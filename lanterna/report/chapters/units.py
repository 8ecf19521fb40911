"""What excites the units of a few layers through the depth, those that this picture excites most."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.errors import LanternaError
from lanterna.events import Event, Stepped
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.network import Network
from lanterna.progress import Series
from lanterna.report.chapter import Chapter, ChapterKind, Context
from lanterna.report.figures import figures
from lanterna.report.page import render
from lanterna.techniques.visualize import VisualizeRecipe, run

__all__ = ["KIND", "plan_steps", "telling_units"]

# Below this many steps shapes are not there yet; above, little changes.
LEAST_STEPS, MOST_STEPS = 48, 256


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


def plan_steps(context: Context, layers: Sequence[str]) -> int:
    """How many steps of all pictures fit into the chapter's seconds, from the time of a few real ones."""
    if context.recipe.steps is not None:
        return context.recipe.steps
    cost = 0.0
    for layer in {layers[0], layers[len(layers) // 2], layers[-1]}:
        probe = VisualizeRecipe(units=(f"{layer}:0-{context.recipe.units - 1}",), size=str(context.side), steps=2)
        begun: list[float] = []

        def note(event: Event, begun: list[float] = begun) -> None:
            if isinstance(event, Stepped):
                begun.append(time.perf_counter())

        try:
            run(probe, context.network, note)
        except LanternaError:
            continue  # a narrow layer has fewer channels than that; the others tell enough
        cost += (begun[-1] - begun[0]) * len(layers) / 3
    return int(min(max(context.seconds / max(cost, 1e-3), LEAST_STEPS), MOST_STEPS))


def _make(context: Context, series: Series) -> Chapter:
    recipe, network = context.recipe, context.network
    layers = layers_through_depth(network, recipe.depths)
    names = [layer.name for layer in layers]
    steps = plan_steps(context, names)
    telling = telling_units(network, names, context.small, recipe.units)
    rows = []
    for layer in layers:
        if series.stopped:
            break
        units = tuple(f"{layer.name}:{unit}" for unit in telling[layer.name])
        made = VisualizeRecipe(units=units, size=str(context.side), steps=steps, seed=recipe.seed)
        rows.append((layer, run(made, network, series.part(context.seconds / len(layers)))))
    numbers = [
        {
            "layer": layer.name,
            "units": [unit.title for unit in result.units],
            "activation": list(result.activation),
            "sample_activation": result.sample_activation,
            "steps": result.steps,
        }
        for layer, result in rows
    ]
    shown = [{"layer": layer, "figures": figures(result)} for layer, result in rows]
    html = render("units.html", rows=shown, recipe=recipe, network=network)
    return Chapter(KIND.name, KIND.title, html, {"layers": numbers})


KIND = ChapterKind("units", "What excites its units, layer by layer", 5.0, _make)
