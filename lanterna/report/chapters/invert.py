"""What each layer keeps of the picture: recreations by depth, with their error, and two controls."""

import statistics
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.errors import LanternaError
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.network import Network
from lanterna.networks.untrained import untrained
from lanterna.progress import Series
from lanterna.report import papers
from lanterna.report.chapter import Chapter, ChapterKind, Context, framed, left_out
from lanterna.report.how import command, how
from lanterna.report.pace import fitting, step_cost
from lanterna.report.page import render
from lanterna.techniques.inversion import Inversion, Recreation
from lanterna.techniques.invert import InvertRecipe, run
from lanterna.techniques.likeness import psnr, ssim

__all__ = ["KIND", "spearman"]

SAMPLES = 3
# The samples, the untrained copy and the other picture's code: pictures optimised for each layer.
_RUNS = SAMPLES + 2
_LEAST_STEPS, _MOST_STEPS = 30, 200
# In fewer steps than this the Fourier canvas comes further than plain pixels do, in error and to the eye.
_FEW_STEPS = 300
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
        layers=(layers[-1],), picture=context.recipe.picture, size=str(context.side), samples=1, steps=3, judge="none"
    )
    # Half of the deepest layer's cost is about the mean over the layers.
    cost = step_cost(lambda listen: run(probe, context.network, listen)) / 2 * len(layers) * _RUNS
    return fitting(context.seconds, cost, _LEAST_STEPS, _MOST_STEPS)


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


def _control(recipe: InvertRecipe, network: Network, series: Series, weight: float) -> Inversion | None:
    """A control that fails, as an untrained network that gives no finite numbers may, is left out."""
    try:
        return run(recipe, network, series.part(weight))
    except LanternaError:
        return None


def _deepest(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The deepest layer whose features were reached: of the others the pictures show how few the steps were."""
    return [row for row in rows if row["reached"]][-1] if any(row["reached"] for row in rows) else rows[0]


def _verdict(rows: Sequence[dict[str, Any]], correlation: float | None) -> dict[str, bool | None]:
    """The three claims of the chapter: recreated from shallow layers, many pictures are the same, deeper is harder."""
    first, deep = rows[0], _deepest(rows)
    spread, apart = deep["numbers"]["pixel_distance"], deep["numbers"]["feature_distance"]
    return {
        "recreated": None if first["other"] is None else first["decibels"] > first["other"]["decibels"],
        "many": None if spread is None else spread > 0 and apart < deep["numbers"]["real_feature_distance"],
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
    chosen = InvertRecipe(
        layers=tuple(layers), picture=recipe.picture, size=str(context.side), samples=SAMPLES, steps=steps, seed=recipe.seed,
        prior="fourier" if steps < _FEW_STEPS else "tv",
    )  # fmt: skip
    part = context.seconds / _RUNS
    made = run(chosen, network, series.part(part * SAMPLES))
    if not made.recreations:
        return None
    single = chosen.model_copy(update={"samples": 1, "judge": "none"})
    other = _other(recipe.picture)
    blank = elsewhere = None
    if not series.stopped:
        blank = _control(single, untrained(network, recipe.seed), series, part)
    if not series.stopped:
        elsewhere = _control(single.model_copy(update={"picture": other}), network, series, part)
    errors = [statistics.mean(_pixel_error(value) for value in one.psnr) for one in made.recreations]
    correlation = spearman(range(len(errors)), errors)
    blank_numbers = _control_numbers(blank, made)
    blank_errors = [_pixel_error(one["decibels"]) for one in blank_numbers]
    rows: list[dict[str, Any]] = [
        {
            "layer": one.layer,
            "numbers": _numbers(one),
            "pictures": list(one.pictures),
            "error": statistics.mean(one.feature_error),
            "reached": statistics.mean(one.feature_error) < _REACHED,
            "decibels": statistics.mean(one.psnr),
            "ssim": statistics.mean(one.ssim),
            "blank": None if blank is None else _beside(blank, i, made),
            "other": None if elsewhere is None else _beside(elsewhere, i, made),
        }
        for i, one in enumerate(made.recreations)
    ]
    reached = [error for error, row in zip(errors, rows, strict=True) if row["reached"]]
    claims = _verdict(rows, spearman(range(len(reached)), reached) if len(reached) > 2 else None)
    values = {
        "picture": recipe.picture,
        "rows": rows,
        "deep": _deepest(rows),
        "unreached": [row["layer"] for row in rows if not row["reached"]],
        "steps": steps,
        "other": other,
        "judge": made.judge,
        "correlation": correlation,
        "blank_correlation": spearman(range(len(blank_errors)), blank_errors),
        "better_blank": sum(row["blank"] is not None and row["blank"]["decibels"] > row["decibels"] for row in rows),
        "claims": claims,
    }
    figure = render("invert.html", original=made.original, plot=_plot(made.recreations, blank, made.original), **values)
    numbers = {
        "steps": steps,
        "spearman": correlation,
        "layers": [_numbers(one) for one in made.recreations],
        "untrained": blank_numbers,
        "other_picture": _control_numbers(elsewhere, made),
        "claims": claims,
    }
    said = command(
        "invert", network.source, *layers, picture=recipe.picture, samples=SAMPLES, steps=steps, size=chosen.size,
        seed=recipe.seed, arch=context.arch, prior=None if chosen.prior == "tv" else chosen.prior,
    )  # fmt: skip
    known = [found for found in claims.values() if found is not None]
    return framed(
        KIND.name,
        figure,
        values=values,
        holds=all(known) if known else None,
        how=[how(chosen, run, network, context.arch, said)],
        papers=(papers.MAHENDRAN, papers.HE),
        numbers=numbers,
        random=context.random,
    )


def _beside(control: Inversion, index: int, made: Inversion) -> dict[str, Any] | None:
    """A control's picture of one layer, compared with the reader's photograph."""
    if index >= len(control.recreations):
        return None
    one = control.recreations[index]
    return {
        "picture": one.pictures[0],
        "error": one.feature_error[0],
        "decibels": psnr(one.pictures, made.original)[0],
        "ssim": ssim(one.pictures, made.original)[0],
    }


def _control_numbers(control: Inversion | None, made: Inversion) -> list[dict[str, Any]]:
    """What the page says of a control, layer by layer."""
    found = [_beside(control, index, made) for index in range(len(control.recreations))] if control else []
    return [{key: value for key, value in one.items() if key != "picture"} for one in found if one is not None]


KIND = ChapterKind("invert", 3, 2.0, _make)
