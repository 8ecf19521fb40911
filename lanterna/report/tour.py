"""The main job: one page that shows what a network sees, for one picture, that opens from disk."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
from markupsafe import Markup
from pydantic import Field
from torch import Tensor

from lanterna import data as data_sets
from lanterna import pictures as pictures_io
from lanterna.errors import UnknownNameError
from lanterna.events import Listener
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.learnt import neighbour_correlation
from lanterna.networks.network import Network, Prediction
from lanterna.progress import Series
from lanterna.recipe import Names, Recipe
from lanterna.report import kept
from lanterna.report.chapter import Chapter, ChapterKind, Context
from lanterna.report.chapters import CHAPTERS
from lanterna.report.how import command
from lanterna.report.pace import affordable_side
from lanterna.report.page import check_folder, render, write_page
from lanterna.report.prose import LANGUAGES, said
from lanterna.techniques.likeness import classifies

__all__ = ["Tour", "TourRecipe", "tour"]

# Of the layers' pictures: the side, and for a larger one the operations that a pass of one picture may take. VGG-16 takes
# half as many again at this side, and its pictures of 128 px show the same. Below so many seconds both are less.
SIDE, OPERATIONS = 160, 1.05e10
HURRIED, HURRIED_SIDE, HURRIED_OPERATIONS = 120.0, 128, 0.6e10


class TourRecipe(Recipe):
    """What decides the page."""

    technique: Literal["tour"] = "tour"
    schema_version: Literal[1] = 1
    picture: Annotated[str, Names("picture"), Field(description="a file, or the name of a sample picture")] = "chelsea"
    pictures: Annotated[str | None, Field(description="a folder to look for patterns in; by default the samples")] = None
    chapters: Annotated[tuple[str, ...], Field(description="the chapters to make, by name; all by default")] = ()
    depths: Annotated[int, Field(ge=1, le=24, description="layers to visualise")] = 6
    units: Annotated[int, Field(ge=1, le=24, description="units of each layer")] = 6
    steps: Annotated[
        int | None, Field(ge=0, le=100_000, description="steps of each picture; by default what `seconds` allows")
    ] = None
    seconds: Annotated[float, Field(gt=0, le=604_800, description="about how long the making may take")] = 300.0
    size: Annotated[
        int | None,
        Field(ge=16, description="side of the layers' pictures, at most the network's own; by default what a pass allows"),
    ] = None

    @property
    def hurried(self) -> bool:
        """Whether so little time is given that chapters show the lecture's point and leave out its variations."""
        return self.seconds < HURRIED


@dataclass(frozen=True)
class Tour:
    """What the page shows. `stopped` where the reader asked to stop: the page then has the chapters that were finished.

    `kept` are the names of chapters that an earlier tour had made, `spent` the seconds that each of the others took.
    """

    recipe: TourRecipe
    page: Path
    predictions: tuple[Prediction, ...]
    chapters: tuple[Chapter, ...]
    seconds: float
    stopped: bool
    kept: tuple[str, ...] = ()
    spent: Mapping[str, float] = field(default_factory=dict)


def _side(recipe: TourRecipe, network: Network) -> int:
    """The side of the layers' pictures: as asked for, else smaller for a network that takes long for each pass."""
    side, operations = (HURRIED_SIDE, HURRIED_OPERATIONS) if recipe.hurried else (SIDE, OPERATIONS)
    most = min(recipe.size or side, *network.input_size)
    deepest = [layer.name for layer in layers_through_depth(network, 1)]
    return most if recipe.size or not deepest else affordable_side(network, deepest, most, operations)


def _chosen(recipe: TourRecipe) -> list[ChapterKind]:
    known = {kind.name: kind for kind in CHAPTERS}
    for name in recipe.chapters:
        if name not in known:
            raise UnknownNameError("chapter", name, known, hint=f"the chapters are {', '.join(known)}")
    return [kind for kind in CHAPTERS if not recipe.chapters or kind.name in recipe.chapters]


def tour(
    recipe: TourRecipe, network: Network, out: str | Path, on_event: Listener | None = None, *, arch: str | None = None
) -> Tour:
    """Make the page in the folder `out` and say what is on it.

    `arch` is the architecture that goes with a network out of a file, for the commands on the page. Finished chapters are
    kept in the cache: made again, a tour redoes those whose recipe, network, picture, data or code have changed. Raises
    InputError, or one of its kinds, before anything is made.
    """
    begun = time.perf_counter()
    kinds = _chosen(recipe)
    if recipe.pictures is not None:
        data_sets.require_readable(data_sets.load(f"folder:{recipe.pictures}"))
    page = check_folder(out) / "index.html"
    picture = pictures_io.load(recipe.picture, reduced=True)
    predictions = tuple(network.classify(picture, 5)[0]) if classifies(network) else ()
    side = _side(recipe, network)
    small = pictures_io.load(recipe.picture, size=(side, side))
    context = Context(
        recipe, network, picture, small, side, predictions, recipe.seconds, arch, neighbour_correlation(network.module)
    )
    series = Series(on_event, recipe.seconds)
    chapters, spent = _made(kinds, context, series)
    seconds = time.perf_counter() - begun
    from_cache = tuple(chapter.name for chapter in chapters if chapter.name not in spent)
    done = Tour(recipe, page, predictions, tuple(chapters), seconds, series.stopped, from_cache, spent)
    write_page(page, _html(done, context))
    return done


def _made(kinds: list[ChapterKind], context: Context, series: Series) -> tuple[list[Chapter], dict[str, float]]:
    """The chapters, and the seconds of those that were not kept from an earlier tour."""
    shares = sum(kind.share for kind in kinds) or 1.0
    surroundings = kept.surroundings(context)
    chapters: list[Chapter] = []
    spent: dict[str, float] = {}
    behind = 0.0
    for kind in kinds:
        own = replace(context, seconds=context.recipe.seconds * kind.share / shares)
        key = kept.key(kind.name, own, surroundings)
        made = kept.find(key)
        if made is None and series.stopped and kind.share:
            # What takes no time, as tables do, is there on a page that was stopped as well.
            continue
        if made is None:
            begun = time.perf_counter()
            series.enter(kind.title)
            made = kind.make(own, series)
            # A chapter that was left out costs nothing, and what it lacks may be here the next time.
            if made is not None and made.left_out is None and not series.stopped:
                kept.keep(key, made)
            spent[kind.name] = time.perf_counter() - begun
        behind += own.seconds
        series.reach(behind)
        if made is not None:
            chapters.append(made)
    return chapters, spent


def _command(context: Context) -> str:
    """The command that makes this page, with every flag that is not the default."""
    recipe, fields = context.recipe, TourRecipe.model_fields
    flags = {
        name: getattr(recipe, name)
        for name in ("pictures", "depths", "units", "steps", "seconds", "size", "seed")
        if getattr(recipe, name) != fields[name].default
    }
    chapters = ",".join(recipe.chapters) or None
    return command("tour", recipe.picture, network=context.network.source, arch=context.arch, chapters=chapters, **flags)


def _answers(network: Network) -> dict[str, int] | None:
    """How many best classes a classifier has for how many sample photographs: one for all where nothing was learnt."""
    if not classifies(network) or network.channels not in (1, 3):
        return None
    samples = pictures_io.samples_at(network.input_size)
    with torch.no_grad():
        best = {int(network.logits(sample.to(network.device)).argmax(1)) for sample in samples}
    return {"pictures": len(samples), "classes": len(best)}


def _html(made: Tour, context: Context) -> str:
    network, longest = context.network, max(context.picture.shape[2:])
    values = {
        "network": network,
        "name": Path(made.recipe.picture).name,
        "seconds": made.seconds,
        "kept": len(made.kept),
        "learnt": context.learnt,
        "answers": _answers(network) if context.random else None,
    }
    kinds = {kind.name: kind for kind in CHAPTERS}

    def words(piece: str, tag: str = "div") -> Markup:
        return said("page", piece, tag, **values)

    def titled(name: str, tag: str) -> Markup:
        return said(name, "title", tag)

    return render(
        "page.html",
        photograph=_photograph(made.recipe.picture, longest),
        parameters=sum(parameter.numel() for parameter in network.module.parameters()),
        predictions=made.predictions,
        chapters=[(kinds[chapter.name], chapter) for chapter in made.chapters],
        kinds=[kinds[chapter.name] for chapter in made.chapters],
        stopped=made.stopped,
        languages=LANGUAGES,
        words=words,
        titled=titled,
        command=_command(context),
        **values,
    )


def _photograph(path: str, longest: int) -> Tensor:
    return pictures_io.load(path, size=min(960, longest))
