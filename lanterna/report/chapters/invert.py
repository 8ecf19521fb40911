"""What each layer keeps of the picture: recreations by depth, with their error, and two controls."""

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from lanterna import pictures as pictures_io
from lanterna.errors import LanternaError
from lanterna.events import Event, Stepped
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.network import Network
from lanterna.networks.untrained import untrained
from lanterna.progress import Series
from lanterna.report.chapter import Chapter, ChapterKind, Context
from lanterna.report.page import render
from lanterna.techniques.inversion import Inversion, Recreation
from lanterna.techniques.invert import InvertRecipe, run
from lanterna.techniques.likeness import psnr, ssim

__all__ = ["KIND", "spearman"]

SAMPLES = 3
# The samples, the untrained copy and the other picture's code: pictures optimised for each layer.
_RUNS = SAMPLES + 2
_LEAST_STEPS, _MOST_STEPS = 30, 200
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
    ticks: list[float] = []

    def note(event: Event) -> None:
        if isinstance(event, Stepped):
            ticks.append(time.perf_counter())

    run(probe, context.network, note)
    # Half of the deepest layer's cost is about the mean over the layers.
    cost = (ticks[-1] - ticks[0]) / 2 / 2 * len(layers) * _RUNS
    return int(min(max(context.seconds / max(cost, 1e-3), _LEAST_STEPS), _MOST_STEPS))


def _plot(made: Sequence[Recreation]) -> list[dict[str, Any]]:
    """For each layer: its place in the plot, and its lowest, mean and highest pixel error there."""
    errors = [[_pixel_error(value) for value in one.psnr] for one in made]
    top = max(max(values) for values in errors) or 1.0
    across = [_WIDTH * (i + 0.5) / len(made) for i in range(len(made))]

    def up(value: float) -> float:
        return _HEIGHT * (1 - 0.95 * value / top)

    return [
        {"x": x, "low": up(min(values)), "mean": up(statistics.mean(values)), "high": up(max(values))}
        for x, values in zip(across, errors, strict=True)
    ]


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


def _make(context: Context, series: Series) -> Chapter | None:
    network, recipe = context.network, context.recipe
    if network.channels not in (1, 3):
        return None
    layers = [layer.name for layer in layers_through_depth(network, recipe.depths)]
    steps = _steps(context, layers)
    chosen = InvertRecipe(
        layers=tuple(layers), picture=recipe.picture, size=str(context.side), samples=SAMPLES, steps=steps, seed=recipe.seed
    )
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
    rows = [
        {
            "layer": one.layer,
            "numbers": _numbers(one),
            "pictures": list(one.pictures),
            "error": statistics.mean(one.feature_error),
            "pair_error": statistics.mean(one.pair_error),
            "decibels": statistics.mean(one.psnr),
            "ssim": statistics.mean(one.ssim),
            "blank": None if blank is None else _beside(blank, i, made),
            "other": None if elsewhere is None else _beside(elsewhere, i, made),
            "plot": place,
        }
        for i, (one, place) in enumerate(zip(made.recreations, _plot(made.recreations), strict=True))
    ]
    html = render(
        "invert.html",
        rows=rows,
        recipe=recipe,
        network=network,
        other=other,
        steps=steps,
        original=made.original,
        judge=made.judge,
        correlation=correlation,
        highest=max(_pixel_error(value) for one in made.recreations for value in one.psnr),
        width=_WIDTH,
        height=_HEIGHT,
    )
    numbers = {
        "steps": steps,
        "spearman": correlation,
        "layers": [_numbers(one) for one in made.recreations],
        "untrained": _control_numbers(blank, made),
        "other_picture": _control_numbers(elsewhere, made),
    }
    return Chapter(KIND.name, KIND.title, html, numbers)


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


KIND = ChapterKind("invert", "What each layer keeps of it", 2.0, _make)
