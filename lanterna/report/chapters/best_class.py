"""The picture of the best class, from noise and from the reader's own picture."""

from lanterna.networks.network import LOGITS
from lanterna.progress import Series
from lanterna.report.chapter import Chapter, ChapterKind, Context
from lanterna.report.figures import figures
from lanterna.report.page import render
from lanterna.techniques.visualize import VisualizeRecipe, run

__all__ = ["KIND"]


def _make(context: Context, series: Series) -> Chapter | None:
    if not context.predictions:
        return None
    best = context.predictions[0]
    made = []
    for start in ("noise", context.recipe.picture):
        if series.stopped:
            break
        steps = {} if context.recipe.steps is None else {"steps": context.recipe.steps}
        recipe = VisualizeRecipe(units=(f"{LOGITS}:{best.index}",), start=start, seed=context.recipe.seed, **steps)
        made.append((start, run(recipe, context.network, series.part(context.seconds / 2))))
    shown = [{"start": start, "figures": figures(result)} for start, result in made]
    numbers = [{"start": start, "activation": result.activation[0], "steps": result.steps} for start, result in made]
    html = render("best_class.html", best=best, made=shown, recipe=context.recipe, network=context.network)
    return Chapter(KIND.name, KIND.title, html, {"class": best.label, "pictures": numbers})


KIND = ChapterKind("best_class", "The picture of its best class", 1.0, _make)
