"""How the network is fooled with the reader's own picture."""

from lanterna.progress import Series
from lanterna.report.chapter import Chapter, ChapterKind, Context
from lanterna.report.page import picture_data, render
from lanterna.techniques.fool import FoolRecipe, run

__all__ = ["KIND"]


def _make(context: Context, series: Series) -> Chapter | None:
    if not context.predictions or context.network.channels not in (1, 3):
        return None
    steps = {} if context.recipe.steps is None else {"steps": max(context.recipe.steps, 1)}
    recipe = FoolRecipe(picture=context.recipe.picture, seed=context.recipe.seed, **steps)
    made = run(recipe, context.network, series.part(context.seconds))
    shown = (made.picture, made.difference, made.result, made.noise)
    figures = [
        {"image": picture_data(picture), "caption": caption, "classes": classes}
        for picture, caption, classes in zip(
            shown, made.captions(), (made.before, (), made.after, made.with_noise), strict=True
        )
    ]
    html = render("fooled.html", made=made, figures=figures, recipe=recipe, network=context.network)
    return Chapter(KIND.name, KIND.title, html, made.numbers())


KIND = ChapterKind("fooled", "How it is fooled", 0.4, _make)
