"""What the network sees in the picture: its best class, made from noise and from the picture itself."""

from typing import Any

import torch

from lanterna.networks.network import LOGITS, Network
from lanterna.networks.untrained import untrained
from lanterna.progress import Series
from lanterna.report import papers
from lanterna.report.chapter import Chapter, ChapterKind, Context, framed, left_out
from lanterna.report.how import command, how
from lanterna.report.page import render
from lanterna.techniques.likeness import load_judge
from lanterna.techniques.visualization import Visualization
from lanterna.techniques.visualize import VisualizeRecipe, run

__all__ = ["KIND"]

# From noise, from the picture, and by an untrained copy.
_RUNS = 3
# As many as `visualize` takes: whoever makes the class by hand gets the same picture. In a hurry the photograph, where much
# is there already, takes fewer.
_STEPS: int = VisualizeRecipe.model_fields["steps"].default
_HURRIED_STEPS = 96


def _chance(network: Network, made: Visualization, index: int) -> float:
    """How probable the class is to the network in the picture that was made."""
    with torch.no_grad():
        return float(network.logits(made.pictures.to(network.device)).softmax(1)[0, index])


def _second(judge: Network | None, made: Visualization, label: str) -> dict[str, Any] | None:
    """What a second network sees in the picture; None where there is none that has the same classes."""
    if judge is None:
        return None
    best = judge.classify(judge.preprocessing.fit(made.pictures.to(judge.device)), 5)[0]
    return {
        "network": judge.name,
        "label": best[0].label,
        "agrees": best[0].label == label,
        "among_five": any(one.label == label for one in best),
    }


def _make(context: Context, series: Series) -> Chapter | None:
    network = context.network
    if not context.predictions:
        return left_out(KIND.name, "no_classes", network=network.name)
    if network.channels not in (1, 3):
        return left_out(KIND.name, "channels", network=network.name, channels=network.channels)
    best = context.predictions[0]
    unit = f"{LOGITS}:{best.index}"
    steps = _STEPS if context.recipe.steps is None else context.recipe.steps
    part = context.seconds / _RUNS
    recipe = VisualizeRecipe(units=(unit,), steps=steps, seed=context.recipe.seed)
    made = run(recipe, network, series.part(part))
    from_picture = control = None
    if not series.stopped:
        fewer = min(steps, _HURRIED_STEPS) if context.hurried else steps
        onward = recipe.model_copy(update={"start": context.recipe.picture, "steps": fewer})
        from_picture = run(onward, network, series.part(part))
    if not series.stopped:
        control = run(recipe, untrained(network, context.recipe.seed), series.part(part))
    chance = _chance(network, made, best.index)
    control_chance = None if control is None else _chance(network, control, best.index)
    activation, start = made.activation[0], made.start_activation[0]
    sample = None if made.sample_activation is None else made.sample_activation[0]
    values = {
        "best": best,
        "picture": context.name,
        "steps": steps,
        "activation": activation,
        "start": start,
        "sample": sample,
        "chance": chance,
        "control_chance": control_chance,
        "second": _second(load_judge(None, network), made, best.label),
    }
    figure = render("best_class.html", made=made, from_picture=from_picture, control=control, **values)
    numbers = {
        "class": best.label,
        "pictures": [
            {"start": one.recipe.start, "activation": one.activation[0], "steps": one.steps}
            for one in (made, from_picture)
            if one is not None
        ],
        "probability": chance,
        "untrained_probability": control_chance,
        "start_activation": start,
        "sample_activation": sample,
        "second": values["second"],
    }
    said = command("visualize", network.source, unit, steps=steps, seed=recipe.seed, arch=context.arch)
    return framed(
        KIND.name,
        figure,
        values=values,
        holds=activation > start and (control_chance is None or chance > control_chance),
        how=[how(recipe, run, network, context.arch, said)],
        papers=(papers.ERHAN, papers.SIMONYAN, papers.OLAH),
        numbers=numbers,
        random=context.random,
    )


KIND = ChapterKind("best_class", 1, 2.0, _make)
