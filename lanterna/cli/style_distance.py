"""`style-distance`: how far two pictures are apart in style."""

from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from lanterna.cli.console import print_json, results
from lanterna.cli.options import Arch, Common, field_help, load_network, make_recipe
from lanterna.provenance import describe
from lanterna.techniques.style_distance import StyleDistanceRecipe, run

__all__ = ["style_distance"]


def style_distance(
    first: str,
    second: str,
    /,
    *,
    size: Annotated[int | None, Parameter(help=field_help(StyleDistanceRecipe, "size"))] = None,
    style_layers: Annotated[str | None, Parameter(help="layers, with commas; by default the network's usual")] = None,
    seed: Annotated[int | None, Parameter(help="nothing here is left to chance; only for the record")] = None,
    network: Annotated[str, Parameter(help="the network whose features are compared")] = "vgg16_hed",
    arch: Arch = None,
    common: Common | None = None,
) -> None:
    """How far FIRST is from SECOND in style, layer by layer: 0 is the same, about 1 a picture without features.

    Example: lanterna style-distance gravel grass
    """
    common = common or Common()
    names = None if style_layers is None else tuple(name.strip() for name in style_layers.split(",") if name.strip())
    fields = {"first": first, "second": second, "size": size, "style_layers": names, "seed": seed}
    recipe = make_recipe(StyleDistanceRecipe, None, fields)
    net = load_network(network, common, arch)
    found = run(recipe, net)
    if common.json:
        print_json({"recipe": describe(recipe, net, {"arch": arch}), "layers": found.layers})
        return
    names_of = list(next(iter(found.layers.values())))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("layer", *names_of):
        table.add_column(column)
    for layer, distances in found.layers.items():
        table.add_row(layer, *(f"{distances[name]:.4f}" for name in names_of))
    results.print(table)
