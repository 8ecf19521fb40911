"""Style and content apart: each alone, both, and the control in which the wrong maps go together."""

from typing import Any

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.errors import LanternaError
from lanterna.networks.network import Network
from lanterna.progress import Series
from lanterna.report.chapter import Chapter, ChapterKind, Context
from lanterna.report.page import picture_data, render
from lanterna.techniques.style_layers import default_layers
from lanterna.techniques.style_recipe import StylizeRecipe
from lanterna.techniques.style_targets import moments_of
from lanterna.techniques.stylize import run

__all__ = ["KIND", "gram_picture"]

STYLE, SIDE = "coffee", 128
# Below this many steps neither the one nor the other is there yet.
LEAST_STEPS, MOST_STEPS = 20, 120
# (title, what differs from the defaults): the four of the lecture, then the layers one by one.
_FOUR: tuple[tuple[str, dict[str, Any]], ...] = (
    ("content only", {"style_weight": 0.0, "content_weight": 1.0, "init": "noise"}),
    ("style only", {"content_weight": 0.0, "init": "noise"}),
    ("both", {}),
    ("both, Gram scrambled", {"scramble": True, "statistic": "gram"}),
)


def gram_picture(network: Network, picture: Tensor, layer: str, channels: int = 64) -> Tensor:
    """The correlations of the first `channels` maps of a layer as a picture (1, 3, c, c): white 1, grey 0, black -1."""
    found = moments_of(network, picture, [layer], None)[layer]
    deviation = found.variance.clamp(min=1e-12).sqrt()
    correlation = (found.covariance / torch.outer(deviation, deviation))[:channels, :channels]
    return (correlation.clamp(-1, 1) / 2 + 0.5)[None, None].expand(1, 3, -1, -1).float()


def _steps(context: Context, runs: int) -> int:
    if context.recipe.steps is not None:
        return context.recipe.steps
    # About what a step at 128 px costs on two cores.
    return int(min(max(context.seconds / runs / 0.25, LEAST_STEPS), MOST_STEPS))


def _make(context: Context, series: Series) -> Chapter | None:
    network = context.network
    if network.channels != 3:
        return None
    try:
        layers = default_layers(network).style
        network.check_size((SIDE, SIDE), layers)
    except LanternaError:
        return None  # no maps, or too small a picture for them: there is no style to show
    cumulative = [layers[: i + 1] for i in range(len(layers))]
    plans = [(title, fields) for title, fields in _FOUR]
    plans += [
        (f"style only, up to {chosen[-1]}", {"content_weight": 0.0, "init": "noise", "style_layers": chosen})
        for chosen in cumulative
    ]
    steps = _steps(context, len(plans))
    shown = []
    for title, fields in plans:
        if series.stopped:
            break
        recipe = StylizeRecipe.model_validate(
            {"content": context.recipe.picture, "styles": (STYLE,), "size": str(SIDE), "steps": steps,
             "seed": context.recipe.seed, **fields}
        )  # fmt: skip
        result = run(recipe, network, series.part(context.seconds / len(plans)))
        shown.append((title, result))
    items = [
        {"title": title, "image": picture_data(result.picture), "losses": result.losses, "start": result.start_losses}
        for title, result in shown
    ]
    style = pictures_io.load(STYLE, size=SIDE)
    grams = [
        {"title": name, "image": picture_data(gram_picture(network, picture, layers[min(1, len(layers) - 1)]))}
        for name, picture in (("the style", style), *((title, result.picture) for title, result in shown[1:4]))
    ]
    html = render(
        "style.html", style=picture_data(style), style_name=STYLE, four=items[:4], layers=items[4:], grams=grams,
        gram_layer=layers[min(1, len(layers) - 1)], network=network, recipe=context.recipe,
        plain=network.name.startswith("vgg"),
    )  # fmt: skip
    numbers = [{"title": title, "losses": result.losses, "steps": list(result.steps)} for title, result in shown]
    return Chapter(KIND.name, KIND.title, html, {"pictures": numbers})


KIND = ChapterKind("style", "Style and content, apart", 2.0, _make)
