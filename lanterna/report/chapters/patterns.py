"""What in real pictures excites a few units of each layer, beside the picture made for them and what they see there."""

from lanterna.networks.depths import layers_through_depth
from lanterna.progress import Series
from lanterna.report.chapter import Chapter, ChapterKind, Context
from lanterna.report.chapters.units import telling_units
from lanterna.report.page import render
from lanterna.techniques.found import Patterns, UnitPatterns
from lanterna.techniques.panels import unit_panels
from lanterna.techniques.patterns import PatternsRecipe, run

__all__ = ["KIND"]

UNITS = 4
# Of the chapter's time: the scan and the projections.
_SCAN = 0.6
_LEAST_STEPS, _MOST_STEPS = 48, 128


def _steps(context: Context, layers: int) -> int:
    """How many steps each picture gets: what was asked for, else about what fits, at a fiftieth of a second each."""
    if context.recipe.steps is not None:
        return context.recipe.steps
    left = context.seconds * (1 - _SCAN) / max(layers, 1)
    return int(min(max(left / (UNITS * 0.02), _LEAST_STEPS), _MOST_STEPS))


def _row(one: UnitPatterns, whole: Patterns) -> dict[str, object]:
    panels, captions, title = unit_panels(one, whole)
    return {"title": title, "panels": list(zip(panels, captions, strict=True)), "numbers": one.numbers()}


def _make(context: Context, series: Series) -> Chapter | None:
    recipe, network = context.recipe, context.network
    if network.channels not in (1, 3):
        return None
    data = f"folder:{recipe.pictures}" if recipe.pictures else "samples"
    layers = layers_through_depth(network, recipe.depths)
    names = [layer.name for layer in layers]
    telling = telling_units(network, names, context.small, min(UNITS, recipe.units))
    units = tuple(f"{name}:{unit}" for name in names for unit in telling[name])
    chosen = PatternsRecipe(
        units=units, data=data, steps=_steps(context, len(layers)), size=str(context.side), seed=recipe.seed
    )
    made = run(chosen, network, series.part(context.seconds))
    rows = [
        {"layer": layer, "units": [_row(one, made) for one in made.units if one.unit.layer == layer.name]} for layer in layers
    ]
    html = render("patterns.html", rows=rows, made=made, recipe=recipe, network=network, folder=recipe.pictures)
    numbers = {
        "data": made.data,
        "pictures": made.pictures,
        "samples": made.samples,
        "unreadable": dict(made.unreadable),
        "units": [one.numbers() for one in made.units],
    }
    return Chapter(KIND.name, KIND.title, html, numbers)


KIND = ChapterKind("patterns", "What in real pictures excites them", 2.0, _make)
