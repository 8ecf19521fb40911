"""`tour`: the main job."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import ValidationError

from lanterna.cli.console import Stopper, listener, print_json, results
from lanterna.cli.options import Arch, Common, load_network, readable
from lanterna.errors import InputError
from lanterna.report.tour import Tour, TourRecipe, check_folder
from lanterna.report.tour import tour as make_tour

__all__ = ["tour"]


def tour(
    picture: Annotated[str | None, Parameter(help="a file, or the name of a sample picture [chelsea]")] = None,
    /,
    *,
    network: Annotated[str, Parameter(help="the network to look at")] = "efficientnet_lite0",
    depths: Annotated[int | None, Parameter(help="layers to visualise [6]")] = None,
    units: Annotated[int | None, Parameter(help="units of each layer [6]")] = None,
    steps: Annotated[int | None, Parameter(help="steps of each picture [what --seconds allows]")] = None,
    seconds: Annotated[float | None, Parameter(help="about how long the making may take [180]")] = None,
    size: Annotated[int | None, Parameter(help="side of the layers' pictures [160]")] = None,
    seed: Annotated[int | None, Parameter(help="decides all chance [0]")] = None,
    out: Annotated[Path, Parameter(help="the folder for the page")] = Path("tour"),
    arch: Arch = None,
    common: Common | None = None,
) -> int:
    """One page, for PICTURE and this network, that opens from disk.

    Example: lanterna tour chelsea --network efficientnet_lite0
    """
    common = common or Common()
    fields: dict[str, Any] = {
        "picture": picture,
        "depths": depths,
        "units": units,
        "steps": steps,
        "seconds": seconds,
        "size": size,
        "seed": seed,
    }
    try:
        recipe = TourRecipe.model_validate({key: value for key, value in fields.items() if value is not None})
    except ValidationError as error:
        raise InputError(readable(error)) from error
    check_folder(out)
    net = load_network(network, common, arch)
    stopper = Stopper()
    with stopper.installed(), listener("tour", stopper, quiet=common.quiet) as listen:
        made = make_tour(recipe, net, out, listen)
    if common.json:
        print_json(_numbers(made))
    else:
        results.print(str(made.page.resolve()), markup=False)
    return 130 if made.stopped else 0


def _numbers(made: Tour) -> dict[str, Any]:
    return {
        "recipe": made.recipe.model_dump(mode="json"),
        "outputs": [str(made.page)],
        "predictions": [vars(prediction) for prediction in made.predictions],
        "layers": [
            {
                "layer": row.layer.name,
                "units": [unit.title for unit in row.result.units],
                "activation": list(row.result.activation),
                "sample_activation": row.result.sample_activation,
            }
            for row in made.rows
        ],
        "stopped": made.stopped,
    }
