"""What a chapter of the tour is: a title, a fragment of the page, and the numbers behind it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from torch import Tensor

from lanterna.networks.network import Network, Prediction
from lanterna.progress import Series

if TYPE_CHECKING:
    from lanterna.report.tour import TourRecipe

__all__ = ["Chapter", "ChapterKind", "Context"]


@dataclass(frozen=True)
class Context:
    """What every chapter is given.

    `picture` (1, 3, H, W) is the reader's own at its own size, `small` the same at `side` x `side`; `predictions` its best
    classes, empty where the network has none; `seconds` about how long this chapter may take.
    """

    recipe: "TourRecipe"
    network: Network
    picture: Tensor
    small: Tensor
    side: int
    predictions: tuple[Prediction, ...]
    seconds: float


@dataclass(frozen=True)
class Chapter:
    """One chapter, made: `numbers` are what `--json` prints for it, ready for JSON."""

    name: str
    title: str
    html: Markup
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ChapterKind:
    """How a chapter is made.

    `share` is its part of the tour's time, beside those of the others. `make` gets the context and the series that its runs
    are told to (their weights sum to the context's seconds), and gives None where the chapter does not apply.
    """

    name: str
    title: str
    share: float
    make: Callable[[Context, Series], Chapter | None]
