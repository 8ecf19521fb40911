"""Why networks are so easily fooled: the full run of `manifold` that comes with the package, and the reader's picture."""

from typing import Any

from torch import Tensor

from lanterna.manifold import figures
from lanterna.manifold.sets import grey
from lanterna.manifold.stored import KINDS, Kept, kept
from lanterna.progress import Series
from lanterna.report import papers
from lanterna.report.chapter import Chapter, ChapterKind, Context, framed
from lanterna.report.how import command_for, how
from lanterna.report.page import render
from lanterna.report.strips import strip
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
_SHOWN = 10


def _make(context: Context, series: Series) -> Chapter | None:
    found = kept()
    numbers = {**_numbers(found), "your_picture": _asked(found, context)}
    plane, confident = numbers["plane"], numbers["fooling_confidence"]
    figure = render(
        "manifold_chapter.html",
        planes=[
            figures.planes(found.plane, found.classes, "", (along, "L2"), words) for words, along in (_ENGLISH, _ITALIAN)
        ],
        fooling=[figures.fooling(found.classes, found.fooling, words) for words, _ in (_ENGLISH, _ITALIAN)],
        kinds=[(name, strip(found.groups[name][:_SHOWN]), numbers["kinds"][name]) for name in KINDS],
        mine=strip(_small(context)),
        yours=numbers["your_picture"],
    )
    recipe = ManifoldRecipe.model_validate(found.recipe)
    return framed(
        KIND.name,
        figure,
        values={**numbers, "command": command_for("manifold", recipe)},
        holds=plane["density_confident_share"]["high"] < plane["frontier_confident_share"]["low"]
        and confident["discriminative"]["low"] > 0.9,
        how=[how(recipe, run, None, None, command_for("manifold", recipe))],
        papers=(papers.NGUYEN, papers.SCHOTT, papers.NALISNICK),
        numbers=numbers,
    )


def _numbers(found: Kept) -> dict[str, Any]:
    """What the chapter says, each number with its mean, lowest and highest over the seeds."""
    groups, aurocs = found.numbers["groups"], found.numbers["auroc"]
    return {
        "seeds": found.recipe["seeds"],
        "accuracy": found.numbers["accuracy"],
        "plane": found.numbers["plane"],
        "fooling_confidence": {
            "discriminative": groups["fooling_discriminative"]["frontier_confidence"],
            "generative": groups["fooling_generative"]["density_confidence"],
        },
        "distance": {name: robust["l2_median"] for name, robust in found.numbers["robustness"].items()},
        "kinds": {
            name: {
                "discriminative": groups[name]["frontier_confidence"],
                "generative": groups[name]["density_confidence"],
                "density_auroc": aurocs[name]["density"] if name in aurocs else None,
            }
            for name in KINDS
        },
        "learned": found.learned,
        "tested": found.tested,
    }


def _small(context: Context) -> Tensor:
    """The middle of the reader's picture as the classifiers of digits get it, (1, 1, 28, 28)."""
    return grey(context.picture, fit=True)


def _asked(found: Kept, context: Context) -> dict[str, Any]:
    """What both say about the reader's picture, asked now."""
    said = found.judges.judge(_small(context))
    return {
        "discriminative": found.classes[int(said.frontier_class)],
        "discriminative_confidence": float(said.frontier_confidence),
        "generative": found.classes[int(said.density_class)],
        "generative_confidence": float(said.density_confidence),
    }


KIND = ChapterKind("manifold", 7, 0.0, _make)
