"""How the network is fooled with the reader's own picture."""

from itertools import product
from typing import Any

import torch

from lanterna.networks.network import Network
from lanterna.progress import Series
from lanterna.report import papers
from lanterna.report.chapter import Chapter, ChapterKind, Context, framed, left_out
from lanterna.report.how import command, how
from lanterna.report.page import render
from lanterna.techniques.fool import FoolRecipe, run, second_network

__all__ = ["KIND"]

_USUAL = FoolRecipe.model_fields["attack"].default

# Classes from which on one of them is chosen to be seen.
_ENOUGH = 3
# How much of any value may be changed, in levels of 255: as little as fools it. Large networks fall at the first.
_LEVELS = (2, 8, 32)
# A difference of so many levels is seen on an even part.
VISIBLE = 16


def _far(context: Context) -> str | None:
    """The class in the middle of the network's ranking for the picture: it has nothing to do with it, nor is it the last.

    From the best class to the second is a step that noise takes as well. None where there are too few classes to choose.
    """
    network = context.network
    picture = network.preprocessing.fit(context.picture).to(network.device)
    with torch.no_grad():
        ranking = network.logits(picture)[0].argsort(descending=True)
    return str(int(ranking[len(ranking) // 2])) if len(ranking) >= _ENOUGH else None


def _second(network: Network) -> str | None:
    """None, the usual second network; "none" where there is none that knows the classes, as the command is to say."""
    return "none" if second_network(None, network) is None else None


def _attempts(far: str | None) -> list[dict[str, Any]]:
    """Fields of the recipe, those that would tell most first.

    Where a class far off is out of reach any other will do; where none is found, a larger change; and at last, whatever it
    takes: a small network of few classes may have its frontiers far away.
    """
    wanted = list(dict.fromkeys((far, None)))
    within = [{"target": target, "epsilon": f"{level}/255"} for level, target in product(_LEVELS, wanted)]
    return [*within, {"attack": "deepfool"}]


def _make(context: Context, series: Series) -> Chapter | None:
    network = context.network
    if not context.predictions:
        return left_out(KIND.name, "no_classes", network=network.name)
    if network.channels not in (1, 3):
        return left_out(KIND.name, "channels", network=network.name, channels=network.channels)
    attempts = _attempts(_far(context))
    for asked in attempts:
        recipe = FoolRecipe(
            picture=context.recipe.picture,
            seed=context.recipe.seed,
            second=_second(network),
            steps=None if context.recipe.steps is None else max(context.recipe.steps, 1),
            **asked,
        )
        made = run(recipe, network, series.part(context.seconds / len(attempts)))
        if made.stopped:
            return None
        if made.success:
            break
    values = {
        "picture": context.name,
        "made": made,
        "network": network.name,
        "times": made.times,
        "aimed": made.recipe.target is not None,
        "level": None if made.recipe.radius is None else round(255 * made.recipe.radius),
        "most": _LEVELS[-1],
        "seen": 255 * made.linf >= VISIBLE,
    }
    said = command(
        "fool",
        network.source,
        recipe.picture,
        attack=None if recipe.attack == _USUAL else recipe.attack,
        target=recipe.target,
        epsilon=recipe.epsilon,
        second=recipe.second,
        steps=recipe.steps,
        seed=recipe.seed,
        arch=context.arch,
    )
    return framed(
        KIND.name,
        render("fooled.html", **values),
        values=values,
        # Where the attack finds nothing within its ball, that is no proof that there is nothing.
        holds=made.noise_success < 0.5 if made.success else None,
        how=[how(recipe, run, network, context.arch, said)],
        papers=(papers.SZEGEDY, papers.GOODFELLOW, papers.MADRY),
        numbers=made.numbers(),
        random=context.random,
    )


KIND = ChapterKind("fooled", 6, 0.2, _make)
