"""Why networks are so easily fooled: the plane and the fooling pictures of two small classifiers."""

from lanterna.errors import MissingError
from lanterna.manifold import figures
from lanterna.manifold.quick import quick
from lanterna.manifold.training import InterruptedTrainingError
from lanterna.progress import Series
from lanterna.report.chapter import Chapter, ChapterKind, Context
from lanterna.report.page import render

__all__ = ["KIND"]


def _make(context: Context, series: Series) -> Chapter | None:
    parts = tuple(series.part(context.seconds * share) for share in (0.2, 0.3, 0.5))
    try:
        made = quick(context.recipe.seed, context.recipe.steps, (parts[0], parts[1], parts[2]))
    except MissingError as error:
        return Chapter(
            KIND.name, KIND.title, render("manifold_chapter.html", made=None, missing=str(error)), {"missing": str(error)}
        )
    except InterruptedTrainingError:
        return None
    plane = figures.planes(made.plane, made.classes, "", ("distance in the plane of the three pictures, L2", "L2"))
    fooling = figures.fooling(made.classes, made.fooling)
    confident = {name: float(shown[2].mean()) for name, shown in made.fooling.items()}
    numbers = {
        "accuracy": made.accuracy,
        "plane": made.plane.numbers(),
        "fooling_confidence": confident,
        "pictures": made.pictures,
        "from_cache": made.from_cache,
    }
    html = render("manifold_chapter.html", made=made, numbers=numbers, plane=plane, fooling=fooling)
    return Chapter(KIND.name, KIND.title, html, numbers)


KIND = ChapterKind("manifold", "Where pictures live: the data manifold", 0.6, _make)
