"""`tour`: the main job."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lanterna.cli.console import errors, print_json, results, watching
from lanterna.cli.options import Arch, Common, field_help, load_network, make_recipe
from lanterna.errors import InputError
from lanterna.report.page import check_folder
from lanterna.report.tour import Tour, TourRecipe
from lanterna.report.tour import tour as make_tour

__all__ = ["tour"]

# What the two flags stand for; any of it can be said otherwise beside them.
QUICK: dict[str, Any] = {"seconds": 100.0, "depths": 4, "units": 4}
FULL: dict[str, Any] = {"seconds": 1500.0, "depths": 8, "units": 8, "size": 224}


def _help(field: str) -> str:
    return field_help(TourRecipe, field)


def tour(
    picture: Annotated[str | None, Parameter(help="a file, or the name of a sample picture [chelsea]")] = None,
    /,
    *,
    network: Annotated[str, Parameter(help="the network to look at")] = "efficientnet_lite0",
    chapters: Annotated[str | None, Parameter(help="names with commas; all by default")] = None,
    pictures: Annotated[str | None, Parameter(help=_help("pictures"))] = None,
    depths: Annotated[int | None, Parameter(help=_help("depths"))] = None,
    units: Annotated[int | None, Parameter(help=_help("units"))] = None,
    steps: Annotated[int | None, Parameter(help=_help("steps"))] = None,
    seconds: Annotated[float | None, Parameter(help=_help("seconds"))] = None,
    size: Annotated[int | None, Parameter(help=_help("size"))] = None,
    quick: Annotated[bool, Parameter(negative=(), help="in less than 3 minutes, with fewer layers and units")] = False,
    full: Annotated[bool, Parameter(negative=(), help="in high quality: more layers, units and steps")] = False,
    seed: Annotated[int | None, Parameter(help=_help("seed"))] = None,
    out: Annotated[Path, Parameter(help="the folder for the page")] = Path("tour"),
    arch: Arch = None,
    common: Common | None = None,
) -> int:
    """One page, for PICTURE and this network, that opens from disk.

    Example: lanterna tour chelsea --network efficientnet_lite0
    """
    common = common or Common()
    names = None if chapters is None else tuple(name.strip() for name in chapters.split(","))
    if quick and full:
        raise InputError("--quick and --full were both given; give one")
    effort = QUICK if quick else FULL if full else {}
    fields = {
        "picture": picture, "pictures": pictures, "chapters": names,
        "depths": depths, "units": units, "steps": steps, "seconds": seconds,
        "size": size, "seed": seed,
    }  # fmt: skip
    recipe = make_recipe(TourRecipe, None, {**effort, **{key: value for key, value in fields.items() if value is not None}})
    check_folder(out)
    net = load_network(network, common, arch)
    with watching("tour", quiet=common.quiet, share=True) as listen:
        made = make_tour(recipe, net, out, listen, arch=arch)
    if common.json:
        print_json(_numbers(made))
    else:
        results.print(str(made.page.resolve()), markup=False)
    if made.stopped:
        count = len(made.chapters)
        errors.print(f"stopped: the page has {count} {'chapter' if count == 1 else 'chapters'}; the same command goes on")
    return 130 if made.stopped else 0


def _numbers(made: Tour) -> dict[str, Any]:
    return {
        "recipe": made.recipe.model_dump(mode="json"),
        "outputs": [str(made.page)],
        "predictions": [vars(prediction) for prediction in made.predictions],
        "chapters": {chapter.name: chapter.numbers for chapter in made.chapters},
        "kept": list(made.kept),
        "seconds": {name: round(seconds, 1) for name, seconds in made.spent.items()},
        "stopped": made.stopped,
    }
