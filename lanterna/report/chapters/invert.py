"""What each layer keeps of the picture: recreations by depth, with their error, and two controls."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.errors import LanternaError
from lanterna.events import Listener
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.network import Network
from lanterna.networks.untrained import untrained
from lanterna.progress import Series
from lanterna.report import papers
from lanterna.report.chapter import Chapter, ChapterKind, Context, framed, left_out
from lanterna.report.how import How, command, how
from lanterna.report.pace import fitting, step_cost
from lanterna.report.page import render
from lanterna.techniques.inversion import Inversion, Recreation
from lanterna.techniques.invert import InvertRecipe, run
from lanterna.techniques.invert_prior import PriorName
from lanterna.techniques.likeness import load_judge, psnr, ssim
from lanterna.techniques.style_layers import is_plain

__all__ = ["KIND", "prior_for", "recreation", "spearman"]

# Pictures of each layer: they show how far apart are those that are the same to it.
SAMPLES = 3
_LEAST_STEPS, _MOST_STEPS = 60, 200
# In fewer steps than this the Fourier canvas comes further than plain pixels do, in error and to the eye; not so at chains of
# convolutions such as VGG, where it turns eyes blue and cups black (1 to 4 dB less from the third block on, in 60 steps), as
# long as the picture has more than this many pixels a side: of smaller ones total variation leaves a blur.
_FEW_STEPS, _SMALL = 300, 64
# A picture whose features are farther off than that was not recreated.
_REACHED = 0.5
# The plot, in units of its view box.
_WIDTH, _HEIGHT = 600, 150


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """The rank correlation of two rows of numbers, equal ones sharing their mean rank; None where one does not vary."""
    ranks = torch.tensor([_ranks(first), _ranks(second)], dtype=torch.float64)
    ranks -= ranks.mean(1, keepdim=True)
    lengths = ranks.norm(dim=1)
    return float((ranks[0] * ranks[1]).sum() / lengths.prod()) if bool((lengths > 0).all()) else None


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]


def _other(picture: str) -> str:
    """A sample picture that is not the reader's."""
    return next(name for name in ("coffee", "chelsea", "astronaut") if name != picture and name in pictures_io.samples())


def _steps(context: Context, layers: Sequence[str]) -> int:
    """How many steps fit into the chapter's seconds, from the time of a few real ones."""
    if context.recipe.steps is not None:
        return context.recipe.steps
    probe = InvertRecipe(
        layers=(layers[-1],), picture=context.recipe.picture, size=str(context.side), samples=1, steps=3, judge="none",
        prior=prior_for(context.network, _LEAST_STEPS, context.side),
    )  # fmt: skip
    cost = step_cost(lambda listen: run(probe, context.network, listen)) * sum(_weights(len(layers)))
    return fitting(context.seconds, cost, _LEAST_STEPS, _MOST_STEPS)


def prior_for(network: Network, steps: int, side: int) -> PriorName:
    """What brings most back in so many steps, of a picture with this side."""
    pixels = steps >= _FEW_STEPS or (is_plain(network) and side > _SMALL)
    return "tv" if pixels else "fourier"


def _weights(layers: int) -> tuple[float, float, float]:
    """What the three runs take, in pictures of the deepest layer, half of whose cost is about the mean over the layers.

    Several from every layer by the network, one by the untrained copy, another photograph from two.
    """
    return SAMPLES * layers / 2, layers / 2, 1.5


def _plot(made: Sequence[Recreation], blank: Inversion | None, original: Tensor) -> dict[str, Any]:
    """Of each layer the place in the plot, its lowest, mean and highest pixel error, and the untrained copy's."""
    errors = [[_pixel_error(value) for value in one.psnr] for one in made]
    control = [_pixel_error(psnr(one.pictures, original)[0]) for one in blank.recreations] if blank else []
    top = max([max(values) for values in errors] + control) or 1.0

    def up(value: float) -> float:
        return _HEIGHT * (1 - 0.92 * value / top)

    points = [
        {
            "layer": one.layer,
            "x": _WIDTH * (i + 0.5) / len(made),
            "low": up(min(values)),
            "mean": up(statistics.mean(values)),
            "high": up(max(values)),
            "error": statistics.mean(values),
            "blank": up(control[i]) if i < len(control) else None,
        }
        for i, (one, values) in enumerate(zip(made, errors, strict=True))
    ]
    return {"points": points, "top": top, "top_at": up(top), "width": _WIDTH, "height": _HEIGHT}


def _pixel_error(decibels: float) -> float:
    """The root mean squared error of a picture with this PSNR."""
    return float(10 ** (-decibels / 20))


def _numbers(one: Recreation) -> dict[str, Any]:
    return {
        "layer": one.layer,
        "feature_error": list(one.feature_error),
        "pair_error": list(one.pair_error),
        "pixel_error": [_pixel_error(value) for value in one.psnr],
        "psnr": list(one.psnr),
        "ssim": list(one.ssim),
        "top1_kept": one.top1_kept,
        "judge_agrees": one.judge_agrees,
        "pixel_distance": one.pixel_distance,
        "feature_distance": one.feature_distance,
        "real_pixel_distance": one.real_pixel_distance,
        "real_feature_distance": one.real_feature_distance,
    }


@dataclass(frozen=True)
class _Made:
    """What the chapter shows: from each layer, from the `deep` one among them, and the controls, None where they failed."""

    recipe: InvertRecipe
    each: Inversion
    deep: Recreation
    blank: Inversion | None
    elsewhere: Inversion | None


def _control(recipe: InvertRecipe, network: Network, listener: Listener) -> Inversion | None:
    """A run without which there is a chapter: one that fails, as an untrained network may that gives no finite numbers."""
    try:
        return run(recipe, network, listener)
    except LanternaError:
        return None


def _runs(context: Context, series: Series, layers: Sequence[str], steps: int) -> _Made | None:
    """All runs of the chapter; None where the reader asked to stop before the first layer was done."""
    weights = _weights(len(layers))
    parts = [series.part(context.seconds * weight / sum(weights)) for weight in weights]
    recipe = InvertRecipe(
        layers=tuple(layers), picture=context.recipe.picture, size=str(context.side), samples=SAMPLES, steps=steps,
        seed=context.recipe.seed, judge=_judge(context.network), prior=prior_for(context.network, steps, context.side),
    )  # fmt: skip
    each = run(recipe, context.network, parts[0])
    if not each.recreations:
        return None
    blank = elsewhere = None
    deep = _deepest(each.recreations)
    single = recipe.model_copy(update={"samples": 1, "judge": "none"})
    if not series.stopped:
        blank = _control(single, untrained(context.network, recipe.seed), parts[1])
    if not series.stopped:
        two = tuple(dict.fromkeys((layers[0], deep.layer)))
        other = single.model_copy(update={"layers": two, "picture": _other(recipe.picture)})
        elsewhere = _control(other, context.network, parts[2])
    return _Made(recipe, each, deep, blank, elsewhere)


def _judge(network: Network) -> str | None:
    """None, the usual second network, unless it knows other classes: then it has no say."""
    judge = load_judge(None, network)
    return "none" if judge is not None and network.labels and judge.labels != network.labels else None


def _reached(one: Recreation) -> bool:
    return statistics.mean(one.feature_error) < _REACHED


def _deepest(made: Sequence[Recreation]) -> Recreation:
    """The deepest layer whose features were reached: of the others the pictures show how few the steps were."""
    return next((one for one in reversed(made) if _reached(one)), made[0])


def _verdict(made: _Made, other: dict[str, Any] | None, correlation: float | None) -> dict[str, bool | None]:
    """The three claims of the chapter: recreated from shallow layers, many pictures are the same, deeper is harder."""
    spread, apart = made.deep.pixel_distance, made.deep.feature_distance
    return {
        "recreated": None if other is None else statistics.mean(made.each.recreations[0].psnr) > other["decibels"],
        "many": None if spread is None or apart is None else spread > 0 and apart < made.deep.real_feature_distance,
        "harder": None if correlation is None else correlation > 0.5,
    }


def _make(context: Context, series: Series) -> Chapter | None:
    network, recipe = context.network, context.recipe
    if network.channels not in (1, 3):
        return left_out(KIND.name, "channels", network=network.name, channels=network.channels)
    layers = [layer.name for layer in layers_through_depth(network, recipe.depths)]
    if not layers:
        return left_out(KIND.name, "no_maps", network=network.name)
    steps = _steps(context, layers)
    made = _runs(context, series, layers, steps)
    if made is None:
        return None
    original = made.each.original
    errors = [statistics.mean(_pixel_error(value) for value in one.psnr) for one in made.each.recreations]
    correlation = spearman(range(len(errors)), errors)
    blanks, others = _beside(made.blank, original), _beside(made.elsewhere, original)
    blank_errors = [_pixel_error(one["decibels"]) for one in blanks.values()]
    rows: list[dict[str, Any]] = [
        {
            "layer": one.layer,
            "picture": one.pictures[0],
            "made": (made.recipe, SAMPLES * i),
            "error": statistics.mean(one.feature_error),
            "reached": _reached(one),
            "decibels": statistics.mean(one.psnr),
            "ssim": statistics.mean(one.ssim),
            "blank": blanks.get(one.layer),
            "other": others.get(one.layer),
        }
        for i, one in enumerate(made.each.recreations)
    ]
    reached = [error for error, row in zip(errors, rows, strict=True) if row["reached"]]
    claims = _verdict(made, rows[0]["other"], spearman(range(len(reached)), reached) if len(reached) > 2 else None)
    values = {
        "picture": recipe.picture,
        "rows": rows,
        "deep": made.deep,
        "unreached": [row["layer"] for row in rows if not row["reached"]],
        "steps": steps,
        "other": _other(recipe.picture),
        "judge": made.each.judge,
        "correlation": correlation,
        "blank_correlation": spearman(range(len(blank_errors)), blank_errors),
        "better_blank": sum(row["blank"] is not None and row["blank"]["decibels"] > row["decibels"] for row in rows),
        "claims": claims,
    }
    figure = render("invert.html", original=original, plot=_plot(made.each.recreations, made.blank, original), **values)
    numbers = {
        "steps": steps,
        "spearman": correlation,
        "layers": [_numbers(one) for one in made.each.recreations],
        "deep": made.deep.layer,
        "untrained": _without_pictures(blanks),
        "other_picture": _without_pictures(others),
        "claims": claims,
    }
    known = [found for found in claims.values() if found is not None]
    return framed(
        KIND.name,
        figure,
        values=values,
        holds=all(known) if known else None,
        how=[recreation(made.recipe, network, context.arch)],
        papers=(papers.MAHENDRAN, papers.HE),
        numbers=numbers,
        random=context.random,
    )


def recreation(recipe: InvertRecipe, network: Network, arch: str | None) -> How:
    """How the recipe's pictures are made."""
    said = command(
        "invert", network.source, *recipe.layers, picture=recipe.picture, samples=recipe.samples, steps=recipe.steps,
        size=recipe.size, seed=recipe.seed, arch=arch, prior=None if recipe.prior == "tv" else recipe.prior,
    )  # fmt: skip
    return how(recipe, run, network, arch, said)


def _beside(control: Inversion | None, original: Tensor) -> dict[str, dict[str, Any]]:
    """A control's picture of each layer, compared with the reader's photograph."""
    return {
        one.layer: {
            "layer": one.layer,
            "picture": one.pictures[0],
            "error": one.feature_error[0],
            "decibels": psnr(one.pictures, original)[0],
            "ssim": ssim(one.pictures, original)[0],
        }
        for one in (control.recreations if control else ())
    }


def _without_pictures(control: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in one.items() if key != "picture"} for one in control.values()]


KIND = ChapterKind("invert", 3, 3.0, _make)
