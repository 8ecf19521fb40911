"""The main job: one page that shows what a network sees, for one picture, that opens from disk."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from lanterna import data as data_sets
from lanterna import pictures as pictures_io
from lanterna.errors import UnknownNameError
from lanterna.events import Listener
from lanterna.networks.network import LOGITS, Network, Prediction
from lanterna.progress import Series
from lanterna.recipe import Recipe
from lanterna.report.chapter import Chapter, ChapterKind, Context
from lanterna.report.chapters import CHAPTERS
from lanterna.report.page import check_folder, render, write_page

__all__ = ["Tour", "TourRecipe", "tour"]


class TourRecipe(Recipe):
    """What decides the page."""

    technique: Literal["tour"] = "tour"
    schema_version: Literal[1] = 1
    picture: Annotated[str, Field(description="a file, or the name of a sample picture")] = "chelsea"
    pictures: Annotated[str | None, Field(description="a folder to look for patterns in; by default the samples")] = None
    chapters: Annotated[tuple[str, ...], Field(description="the chapters to make, by name; all by default")] = ()
    depths: Annotated[int, Field(ge=1, le=24, description="layers to visualise")] = 6
    units: Annotated[int, Field(ge=1, le=24, description="units of each layer")] = 6
    steps: Annotated[int | None, Field(ge=0, description="steps of each picture; by default what `seconds` allows")] = None
    seconds: Annotated[float, Field(gt=0, description="about how long the making may take")] = 200.0
    size: Annotated[int, Field(ge=16, description="side of the layers' pictures, at most the network's own")] = 160

    def inputs(self) -> tuple[str, ...]:
        """The reader's picture."""
        return (self.picture,)


@dataclass(frozen=True)
class Tour:
    """What the page shows. `stopped` where the reader asked to stop: the page then has the chapters that were finished."""

    recipe: TourRecipe
    page: Path
    predictions: tuple[Prediction, ...]
    chapters: tuple[Chapter, ...]
    seconds: float
    stopped: bool


def _chosen(recipe: TourRecipe) -> list[ChapterKind]:
    known = {kind.name: kind for kind in CHAPTERS}
    for name in recipe.chapters:
        if name not in known:
            raise UnknownNameError("chapter", name, known, hint=f"the chapters are {', '.join(known)}")
    return [kind for kind in CHAPTERS if not recipe.chapters or kind.name in recipe.chapters]


def tour(recipe: TourRecipe, network: Network, out: str | Path, on_event: Listener | None = None) -> Tour:
    """Make the page in the folder `out` and say what is on it.

    Raises InputError, or one of its kinds, before anything is made.
    """
    begun = time.perf_counter()
    kinds = _chosen(recipe)
    if recipe.pictures is not None:
        data_sets.load(f"folder:{recipe.pictures}")
    page = check_folder(out) / "index.html"
    picture = pictures_io.load(recipe.picture)
    output = network.layer(LOGITS)
    predictions = tuple(network.classify(picture, 5)[0]) if len(output.shape) == 1 and output.channels > 1 else ()
    side = min(recipe.size, *network.input_size)
    small = pictures_io.load(recipe.picture, size=(side, side))
    context = Context(recipe, network, picture, small, side, predictions, recipe.seconds)
    series = Series(on_event, recipe.seconds)
    shares = sum(kind.share for kind in kinds) or 1.0
    chapters: list[Chapter] = []
    spent = 0.0
    for kind in kinds:
        # What takes no time, as tables do, is there on a page that was stopped as well.
        if series.stopped and kind.share:
            continue
        series.enter(kind.title)
        seconds = recipe.seconds * kind.share / shares
        made = kind.make(replace(context, seconds=seconds), series)
        spent += seconds
        series.reach(spent)
        if made is not None:
            chapters.append(made)
    done = Tour(recipe, page, predictions, tuple(chapters), time.perf_counter() - begun, series.stopped)
    write_page(page, _html(done, network, picture))
    return done


def _html(made: Tour, network: Network, picture: Tensor) -> str:
    return render(
        "page.html",
        network=network,
        recipe=made.recipe,
        name=Path(made.recipe.picture).name,
        photograph=pictures_io.load(made.recipe.picture, size=min(640, max(picture.shape[2:]))),
        predictions=made.predictions,
        chapters=made.chapters,
        seconds=made.seconds,
        stopped=made.stopped,
    )
