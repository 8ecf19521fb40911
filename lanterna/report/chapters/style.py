"""Style and content apart: each alone, both, and the control in which the wrong maps go together."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.errors import LanternaError
from lanterna.networks.adapt import adapted
from lanterna.networks.network import Network
from lanterna.progress import Series
from lanterna.recipe import Recipe
from lanterna.report import papers
from lanterna.report.chapter import Chapter, ChapterKind, Context, framed, left_out
from lanterna.report.chapters.invert import prior_for, recreation
from lanterna.report.how import command, how
from lanterna.report.pace import affordable_side, fitting, step_cost
from lanterna.report.page import render
from lanterna.techniques.invert import InvertRecipe
from lanterna.techniques.invert import run as recreate
from lanterna.techniques.style_layers import default_content_weight, default_layers, is_plain
from lanterna.techniques.style_recipe import StylizeRecipe
from lanterna.techniques.style_targets import moments_of
from lanterna.techniques.stylize import Stylized, run
from lanterna.tour_recipe import TourRecipe

__all__ = ["KIND", "gram_picture"]

# The second is for whoever brings the first.
STYLES = ("coffee", "flower")
# The longer side: less where a picture's pass takes more operations than that in the usual time, or the reader is in a hurry.
SIDE, LEAST_SIDE, _OPERATIONS = 192, 128, 1.05e10
_USUAL_SECONDS: float = TourRecipe.model_fields["seconds"].default
# In a hurry VGG takes half a second of one core for a step: its shapes and colours are there after the first number.
HURRIED_STEPS, LEAST_STEPS, MOST_STEPS = 40, 60, 150
# Of the layer whose correlations are shown.
_MAPS = 64
# (title, the same in Italian, what differs from the defaults): with content alone the four of the lecture, then the layers
# one by one.
_CONTENT = ("content only", "solo contenuto")
# In chains of convolutions more than the default, for half of the content is to be seen in "both": at 128 px a castle could
# be made out with this weight, and hardly with a quarter of it.
_CHAINS_CONTENT = 0.06
# The four pictures of the lecture but for the content alone.
_LEAST_PAINTED = 3


@torch.no_grad()
def _pair_distance(network: Network, picture: Tensor, style: Tensor, layers: Sequence[str]) -> float:
    """How far the covariances of pairs of maps are from the style's, over all layers: 0 is the same, 1 no pairs at all.

    What a map has by itself, on the diagonal, is left out: the scrambled control keeps it, and it is most of a Gram matrix.
    """
    reader = adapted(network)
    found, target = (moments_of(reader, one, layers, None) for one in (picture, style))
    distances = []
    for layer in layers:
        wanted = _pairs(target[layer].covariance)
        miss = _pairs(found[layer].covariance) - wanted
        distances.append(float(miss.square().sum() / wanted.square().sum().clamp(min=1e-24)))
    return statistics.mean(distances)


def _pairs(matrix: Tensor) -> Tensor:
    return matrix - torch.diag(matrix.diagonal())


def gram_picture(network: Network, picture: Tensor, layer: str, channels: Tensor) -> Tensor:
    """The correlations of the `channels` maps of a layer as a picture (1, 3, c, c): white 1, grey 0, black -1."""
    found = moments_of(network, picture, [layer], None)[layer]
    deviation = found.variance.clamp(min=1e-12).sqrt()
    correlation = (found.covariance / torch.outer(deviation, deviation))[channels][:, channels]
    return (correlation.clamp(-1, 1) / 2 + 0.5)[None, None].expand(1, 3, -1, -1).float()


def _liveliest(network: Network, style: Tensor, layer: str) -> Tensor:
    """The maps of a layer that vary most over the style's picture, in their order: those that are off correlate with none."""
    variance = moments_of(network, style, [layer], None)[layer].variance
    return variance.topk(min(_MAPS, len(variance))).indices.sort().values


def _side(context: Context, layers: Sequence[str]) -> int:
    if context.hurried:
        return LEAST_SIDE
    operations = _OPERATIONS * max(context.recipe.seconds / _USUAL_SECONDS, 1)
    return affordable_side(context.network, layers[-1:], SIDE, operations)


def _style(recipe: TourRecipe) -> str:
    """The style that is taken apart: the reader's first painting, or a sample."""
    return recipe.styles[0] if recipe.styles else next(name for name in STYLES if name != recipe.picture)


def _steps(context: Context, seconds: float, side: int) -> int:
    """How many steps of each run fit into its seconds, from the time of a few real ones."""
    if context.recipe.steps is not None:
        return context.recipe.steps
    probe = StylizeRecipe(content=context.recipe.picture, styles=(_style(context.recipe),), size=str(side), steps=4)
    cost = step_cost(lambda listen: run(probe, context.network, listen))
    return fitting(seconds, cost, HURRIED_STEPS if context.hurried else LEAST_STEPS, MOST_STEPS)


def _content_weight(network: Network) -> float:
    return _CHAINS_CONTENT if is_plain(network) else default_content_weight(network)


def _plans(network: Network, layers: Sequence[str], hurried: bool) -> list[tuple[str, str, dict[str, Any]]]:
    """Style alone, both, and the control; then, unless in a hurry, style alone with more and more layers."""
    weight = _content_weight(network)
    painted: list[tuple[str, str, dict[str, Any]]] = [
        ("style only", "solo stile", {"content_weight": 0.0, "init": "noise"}),
        ("both", "entrambi", {"content_weight": weight}),
        ("both, Gram scrambled", "entrambi, Gram rimescolata",
         {"content_weight": weight, "scramble": True, "statistic": "gram"}),
    ]  # fmt: skip
    if hurried:
        return painted
    # With all of them it is style only again.
    more = [tuple(layers[: i + 1]) for i in range(len(layers) - 1)]
    return [
        *painted,
        *(
            (f"style only, up to {chosen[-1]}", f"solo stile, fino a {chosen[-1]}",
             {"content_weight": 0.0, "init": "noise", "style_layers": chosen})
            for chosen in more
        ),
    ]  # fmt: skip


def _content_alone(context: Context, content: Tensor, steps: int) -> InvertRecipe:
    """As the chapter on inversion does: by the painter, from noise, content alone is grain in the style's colours."""
    network, (height, width) = context.network, content.shape[2:]
    return InvertRecipe(
        layers=default_layers(network).content, picture=context.recipe.picture, size=f"{height}x{width}", samples=1,
        steps=steps, seed=context.recipe.seed, judge="none", prior=prior_for(network, steps, min(height, width)),
    )  # fmt: skip


def _shown(
    titles: tuple[str, str], picture: Tensor, losses: dict[str, float], steps: list[int], made: tuple[Recipe, int | None]
) -> dict[str, Any]:
    return {"title": titles[0], "italian": titles[1], "picture": picture, "losses": losses, "steps": steps, "made": made}


def _other(made: Stylized, name: str, side: int, network: Network, layers: Sequence[str]) -> dict[str, Any]:
    """The same content in one more style."""
    style = pictures_io.load(name, size=side)
    distance = _pair_distance(network, made.picture, style, layers)
    return {"name": Path(name).name, "style": style, "picture": made.picture, "recipe": made.recipe, "distance": distance}


def _make(context: Context, series: Series) -> Chapter | None:
    network, recipe = context.network, context.recipe
    if network.channels == 1:
        return left_out(KIND.name, "grey", network=network.name)
    if network.channels != 3:
        return left_out(KIND.name, "channels", network=network.name, channels=network.channels)
    try:
        layers = default_layers(network).style
        network.check_size((LEAST_SIDE, LEAST_SIDE), layers)
    except LanternaError:
        return left_out(KIND.name, "too_small", network=network.name, side=LEAST_SIDE)
    side, named = _side(context, layers), _style(recipe)
    plans = _plans(network, layers, context.hurried)
    part = context.seconds / (len(plans) + len(recipe.styles[1:]) + 1)
    steps = _steps(context, part, side)
    style, content = (pictures_io.load(name, size=side) for name in (named, recipe.picture))
    alone = _content_alone(context, content, steps)
    recreated = recreate(alone, network, series.part(part))
    if not recreated.recreations:
        return None
    made = recreated.recreations[0]
    shown = [_shown(_CONTENT, made.pictures, {"feature_error": made.feature_error[0]}, [recreated.steps], (alone, 0))]
    usual = {"content": recipe.picture, "styles": (named,), "size": str(side), "steps": steps, "seed": recipe.seed}
    painted: list[Stylized] = []
    for english, italian, fields in plans:
        if series.stopped:
            break
        result = run(StylizeRecipe.model_validate({**usual, **fields}), network, series.part(part))
        painted.append(result)
        shown.append(_shown((english, italian), result.picture, result.losses, list(result.steps), (result.recipe, None)))
    if len(shown) <= _LEAST_PAINTED:
        return None
    others = []
    for name in recipe.styles[1:]:
        if not series.stopped:
            asked = StylizeRecipe.model_validate({**usual, "styles": (name,), "content_weight": _content_weight(network)})
            others.append(_other(run(asked, network, series.part(part)), name, side, network, layers))
    for one in shown:
        one["distance"] = _pair_distance(network, one["picture"], style, layers)
    gram_layer = layers[min(1, len(layers) - 1)]
    maps = _liveliest(network, style, gram_layer)
    grams = [
        {"title": english, "italian": italian, "picture": gram_picture(network, picture, gram_layer, maps)}
        for english, italian, picture in (
            ("the style", "lo stile", style),
            *((one["title"], one["italian"], one["picture"]) for one in shown[1:4]),
        )
    ]
    values = {
        "picture": context.name,
        "style_name": Path(named).name,
        "others": [one["name"] for one in others],
        "network": network.name,
        "plain": is_plain(network),
        "photograph_distance": _pair_distance(network, content, style, layers),
        "content_distance": shown[0]["distance"],
        "style_distance": shown[1]["distance"],
        "both_distance": shown[2]["distance"],
        "scrambled_distance": shown[3]["distance"],
        "layers": len(layers),
        "gram_layer": gram_layer,
        "steps": steps,
        "content_layer": made.layer,
    }
    values |= {"style": style, "content": content, "four": shown[:4], "more": shown[4:]}
    figure = render("style.html", grams=grams, **{**values, "others": others})
    both = painted[1]
    said = command(
        "stylize", recipe.picture, named, content_weight=_content_weight(network), size=side, steps=steps, seed=recipe.seed,
        network=network.source, arch=context.arch,
    )  # fmt: skip
    return framed(
        KIND.name,
        figure,
        values=values,
        holds=shown[1]["distance"] < min(values["photograph_distance"], shown[3]["distance"]),
        how=[
            how(both.recipe, run, network, context.arch, said),
            recreation(alone, network, context.arch),
        ],
        papers=(papers.GATYS_TEXTURE, papers.GATYS),
        numbers={
            "network": network.name,
            "styles": [named, *recipe.styles[1:]],
            "photograph_pair_distance": values["photograph_distance"],
            "pictures": [
                {"title": one["title"], "losses": one["losses"], "steps": one["steps"], "pair_distance": one["distance"]}
                for one in shown
            ],
            "other_styles": [{"style": one["name"], "pair_distance": one["distance"]} for one in others],
        },
        random=context.random,
    )  # fmt: skip


KIND = ChapterKind("style", 5, 2.0, _make)
