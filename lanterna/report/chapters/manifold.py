"""Why networks are so easily fooled: the plane and the fooling pictures of two small classifiers."""

from typing import Any

from lanterna.errors import MissingError, StoppedError
from lanterna.manifold import figures
from lanterna.manifold.quick import quick
from lanterna.progress import Series
from lanterna.report import papers
from lanterna.report.chapter import Chapter, ChapterKind, Context, framed, left_out
from lanterna.report.how import command, how
from lanterna.report.page import render
from lanterna.techniques.manifold import ManifoldRecipe, run

__all__ = ["KIND"]

_ENGLISH = (figures.Words(), "distance in the plane of the three pictures, L2")
_ITALIAN = (
    figures.Words(
        "discriminativo",
        "generativo",
        "Il discriminativo colora tutto",
        "Il generativo lascia del bianco",
        "media",
    ),
    "distanza nel piano delle tre immagini, L2",
)
# A classifier of ten digits that is right for fewer has not learnt them, and decides nothing.
_LEARNT = 0.8


def _make(context: Context, series: Series) -> Chapter | None:
    parts = tuple(series.part(context.seconds * share) for share in (0.2, 0.3, 0.5))
    try:
        made = quick(context.recipe.seed, context.recipe.steps, (parts[0], parts[1], parts[2]))
    except MissingError as error:
        return left_out(KIND.name, "missing", message=str(error))
    except StoppedError:
        return None
    confident = {name: float(shown[2].mean()) for name, shown in made.fooling.items()}
    numbers: dict[str, Any] = {
        "accuracy": made.accuracy,
        "plane": made.plane.numbers(),
        "fooling_confidence": confident,
        "pictures": made.pictures,
        "from_cache": made.from_cache,
    }
    figure = render(
        "manifold_chapter.html",
        planes=[figures.planes(made.plane, made.classes, "", (along, "L2"), words) for words, along in (_ENGLISH, _ITALIAN)],
        fooling=[figures.fooling(made.classes, made.fooling, words) for words, _ in (_ENGLISH, _ITALIAN)],
    )
    recipe = ManifoldRecipe(seed=context.recipe.seed)
    return framed(
        KIND.name,
        figure,
        values=numbers,
        holds=None
        if made.accuracy["discriminative"] < _LEARNT
        else numbers["plane"]["density_confident_share"] < numbers["plane"]["frontier_confident_share"]
        and confident["discriminative"] > 0.9,
        how=[how(recipe, run, None, None, command("manifold", seed=recipe.seed))],
        papers=(papers.NGUYEN, papers.SCHOTT, papers.NALISNICK),
        numbers=numbers,
    )


KIND = ChapterKind("manifold", 7, 0.6, _make)
