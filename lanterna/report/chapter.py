"""What a chapter of the tour is: explanation, figure, number with control, what would refute it, how it was made, papers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup
from torch import Tensor

from lanterna.networks.learnt import Learnt
from lanterna.networks.network import Network, Prediction
from lanterna.progress import Series
from lanterna.report.figures import Figure
from lanterna.report.how import How
from lanterna.report.page import render
from lanterna.report.papers import Paper
from lanterna.report.prose import plain, said, title
from lanterna.tour_recipe import TourRecipe

__all__ = ["Chapter", "ChapterKind", "Context", "framed", "left_out"]


@dataclass(frozen=True)
class Context:
    """What every chapter is given.

    `picture` (1, 3, H, W) is the reader's own at its own size, `small` the same at `side` x `side`; `predictions` its best
    classes, empty where the network has none; `seconds` about how long this chapter may take; `arch` the architecture that
    goes with a network out of a file; `learnt` what its kernels tell of learning.
    """

    recipe: TourRecipe
    network: Network
    picture: Tensor
    small: Tensor
    side: int
    predictions: tuple[Prediction, ...]
    seconds: float
    arch: str | None = None
    learnt: Learnt | None = None

    @property
    def name(self) -> str:
        """The picture's file without its folders, or the sample's name: what the page calls it."""
        return Path(self.recipe.picture).name

    @property
    def hurried(self) -> bool:
        """Whether variations are left out: `TourRecipe.hurried`."""
        return self.recipe.hurried

    @property
    def random(self) -> bool:
        """Whether the weights are no others than chance gives."""
        return self.learnt is not None and not self.learnt.learnt


@dataclass(frozen=True)
class Chapter:
    """One chapter, made: `numbers` are what `--json` prints for it, ready for JSON.

    `left_out` says why where the chapter does not apply, by the name of the reason. `figures` are its pictures as files.
    """

    name: str
    html: Markup
    numbers: dict[str, Any] = field(default_factory=dict)
    left_out: str | None = None
    figures: tuple[Figure, ...] = ()

    @property
    def title(self) -> str:
        """In English."""
        return title(self.name)

    @property
    def why(self) -> str | None:
        """Why it was left out and how to get it, in English and without markup; None where it is there."""
        if self.left_out is None:
            return None
        values = {name: value for name, value in self.numbers.items() if name != "left_out"}
        return plain("left_out", self.left_out, **values)


@dataclass(frozen=True)
class ChapterKind:
    """How a chapter is made.

    `number` is its place in the lecture, None for what is beside it. `share` is its part of the tour's time, beside those
    of the others. `make` gets the context and the series that its runs are told to (their weights sum to the context's
    seconds), and gives None where the reader asked to stop before anything of it was there.
    """

    name: str
    number: int | None
    share: float
    make: Callable[[Context, Series], Chapter | None]

    @property
    def title(self) -> str:
        """In English, for bars and tables."""
        return title(self.name)


def framed(
    name: str,
    figure: Markup,
    *,
    values: Mapping[str, Any],
    holds: bool | None,
    how: Sequence[How],
    papers: Sequence[Paper],
    numbers: dict[str, Any],
    random: bool = False,
) -> Chapter:
    """A chapter with all of its parts.

    `values` are what its prose says; `holds` whether the measurement agrees with the lecture's claim, None where it can't
    tell; `random` whether the network has learnt nothing, which is then said beside the verdict, and to the prose.
    """
    html = render(
        "chapter.html",
        name=name,
        figure=figure,
        told=_teller(name, {**values, "random": random}, holds),
        holds=holds,
        how=how,
        papers=papers,
        random=random,
    )
    return Chapter(name, html, {**numbers, "claim_holds": holds})


def left_out(name: str, reason: str, **values: Any) -> Chapter:
    """A chapter that does not apply, with the reason: a piece of the prose `left_out`."""
    html = render("left_out.html", why=said("left_out", reason, "p", **values))
    return Chapter(name, html, {"left_out": reason, **values}, reason)


def _teller(name: str, values: Mapping[str, Any], holds: bool | None) -> Callable[[str], Markup]:
    def told(piece: str) -> Markup:
        return said(name, piece, **{**values, "holds": holds})

    return told
