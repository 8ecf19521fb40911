"""How the network is fooled with the reader's own picture."""

from lanterna.progress import Series
from lanterna.report import papers
from lanterna.report.chapter import Chapter, ChapterKind, Context, framed, left_out
from lanterna.report.how import command, how
from lanterna.report.page import render
from lanterna.techniques.fool import FoolRecipe, run
from lanterna.techniques.fooled import TIMES

__all__ = ["KIND"]


def _make(context: Context, series: Series) -> Chapter | None:
    network = context.network
    if not context.predictions:
        return left_out(KIND.name, "no_classes", network=network.name)
    if network.channels not in (1, 3):
        return left_out(KIND.name, "channels", network=network.name, channels=network.channels)
    steps = {} if context.recipe.steps is None else {"steps": max(context.recipe.steps, 1)}
    recipe = FoolRecipe(picture=context.recipe.picture, seed=context.recipe.seed, **steps)
    made = run(recipe, network, series.part(context.seconds))
    if made.stopped:
        return None
    values = {"picture": context.recipe.picture, "made": made, "network": network.name, "times": TIMES}
    said = command("fool", network.source, recipe.picture, steps=recipe.steps, seed=recipe.seed, arch=context.arch)
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


KIND = ChapterKind("fooled", 6, 0.4, _make)
