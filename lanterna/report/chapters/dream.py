"""The reader's picture dreamt through the depth of the network, with the controls that say what the network adds."""

from collections.abc import Sequence
from typing import Any

from lanterna.errors import InputError
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.network import Network
from lanterna.progress import Series
from lanterna.report import papers
from lanterna.report.chapter import Chapter, ChapterKind, Context, framed, left_out
from lanterna.report.how import command, how
from lanterna.report.pace import affordable_side
from lanterna.report.page import render
from lanterna.techniques.dream import Dream, DreamRecipe, run
from lanterna.techniques.wishes import default_layers

__all__ = ["KIND"]

DEPTHS = 5
# The dreams are so many times larger than the layers' pictures, for there is more to be seen in them, unless a picture's
# pass takes more operations than that, or the reader is in a hurry.
_LARGER, _OPERATIONS = 2, 1.6e10
STRENGTHS = (0.5, 1.0, 2.0)
# The strip, a grid of three layers by three strengths whose middle column the strip has, and two controls.
_OCTAVES = 2
_CONTROLS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("from noise", "dal rumore", {"picture": "noise"}),
    ("untrained copy", "copia non addestrata", {"untrained": True}),
)


def _side(context: Context, layers: Sequence[str]) -> int:
    if context.hurried:
        return context.side
    return affordable_side(context.network, layers[-1:], _LARGER * context.side, _OPERATIONS)


def _dream(
    context: Context, series: Series, weight: float, side: int, layer: str, strength: float = 1.0, **fields: Any
) -> Dream:
    steps = 10 if context.recipe.steps is None else context.recipe.steps
    recipe = DreamRecipe.model_validate(
        {
            "picture": context.recipe.picture,
            "layers": (layer,),
            "size": f"{side}x{side}",
            "octaves": _OCTAVES,
            "steps": round(steps * strength),
            "seed": context.recipe.seed,
            **fields,
        }
    )
    return run(recipe, context.network, series.part(weight))


def _depths(network: Network, count: int) -> list[str]:
    """Layers through the depth without its ends, where dots and the whole are seen; the default layer is among them."""
    names = [layer.name for layer in layers_through_depth(network, count + 2)]
    names = names[1:-1] if len(names) == count + 2 else names
    best = default_layers(network)[0]
    order = {layer.name: place for place, layer in enumerate(network.layers())}
    if best not in names:
        nearest = min(names, key=lambda name: abs(order[name] - order[best]))
        names = [best if name == nearest else name for name in names]
    return sorted(names, key=lambda name: order[name])


def _shown(dream: Dream, title: str = "", italian: str = "") -> dict[str, Any]:
    return {
        "dream": dream,
        "picture": dream.picture,
        "title": title,
        "italian": italian or title,
        "layer": dream.wishes[0].title,
        "before": dream.start_activation[0],
        "after": dream.activation[0],
        "factor": dream.activation[0] / max(dream.start_activation[0], 1e-12),
    }


def _make(context: Context, series: Series) -> Chapter | None:
    network, recipe = context.network, context.recipe
    if network.channels not in (1, 3):
        return left_out(KIND.name, "channels", network=network.name, channels=network.channels)
    if not layers_through_depth(network, 1):
        return left_out(KIND.name, "no_maps", network=network.name)
    layers, best = _depths(network, DEPTHS), default_layers(network)[0]
    side = _side(context, layers)
    rows = [] if context.hurried else sorted({layers[0], layers[len(layers) // 2], best}, key=layers.index)
    weight = context.seconds / (len(layers) + 2 * len(rows) + 2)
    strip: list[dict[str, Any]] = []
    controls: list[dict[str, Any]] = []
    grid: list[dict[str, Any]] = []
    try:
        for layer in layers:
            if not series.stopped:
                strip.append(_shown(_dream(context, series, weight, side, layer), layer))
        for title, italian, fields in _CONTROLS:
            if not series.stopped:
                controls.append(_shown(_dream(context, series, weight, side, best, **fields), title, italian))
        for layer in rows:
            for strength in STRENGTHS:
                if strength == 1.0:
                    grid += [entry for entry in strip if entry["layer"] == layer][:1]
                elif not series.stopped:
                    made = _dream(context, series, weight, side, layer, strength)
                    grid.append(_shown(made, f"{strength:g} × steps", f"{strength:g} × i passi".replace(".", ",")))
    except InputError:
        # A picture of this chapter's small size holds no two octaves for a network with long strides.
        if not strip:
            return left_out(KIND.name, "too_small", network=network.name, side=side)
    if not strip:
        return None
    whole = next((entry for entry in strip if entry["layer"] == best), strip[-1])
    values = {
        "picture": context.name,
        "strip": strip,
        "controls": controls,
        "best": best,
        "lowest": min(entry["factor"] for entry in strip),
        "highest": max(entry["factor"] for entry in strip),
        "whole": whole,
    }
    figure = render("dream.html", grid=grid, across=len(STRENGTHS), start=strip[0]["dream"].start, **values)
    asked = whole["dream"].recipe
    said = command(
        "dream", network.source, recipe.picture, layer=asked.layers, size=asked.size, octaves=asked.octaves,
        steps=asked.steps, seed=recipe.seed, arch=context.arch,
    )  # fmt: skip
    return framed(
        KIND.name,
        figure,
        values=values,
        holds=values["lowest"] > 1,
        how=[how(asked, run, network, context.arch, said)],
        papers=(papers.MORDVINTSEV,),
        numbers={"dreams": _numbers(strip), "controls": _numbers(controls)},
        random=context.random,
    )


def _numbers(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"title": entry["title"], "layer": entry["layer"], "activation": entry["after"], "start_activation": entry["before"]}
        for entry in entries
    ]


KIND = ChapterKind("dream", 4, 0.6, _make)
