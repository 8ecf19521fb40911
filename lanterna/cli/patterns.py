"""`patterns`: what real pictures excite a unit."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lanterna import pictures
from lanterna.cli.console import results, watching
from lanterna.cli.options import Arch, Common, FromFile, field_help, load_network, make_recipe
from lanterna.cli.outcome import tell
from lanterna.errors import InputError
from lanterna.files import new_folder, write_json
from lanterna.networks.network import Network
from lanterna.patterns.projection import Method
from lanterna.provenance import describe
from lanterna.report.page import check_folder
from lanterna.techniques.patterns import Patterns, PatternsRecipe, run

__all__ = ["again", "patterns"]


def _help(field: str) -> str:
    return field_help(PatternsRecipe, field)


def patterns(
    network: str,
    /,
    *unit: str,
    data: Annotated[str | None, Parameter(help=_help("data"))] = None,
    top: Annotated[int | None, Parameter(help=_help("top"))] = None,
    crops: Annotated[bool | None, Parameter(negative="--no-crops", help=_help("crops"))] = None,
    repeat: Annotated[bool | None, Parameter(negative=(), help=_help("repeat"))] = None,
    strict: Annotated[bool | None, Parameter(negative=(), help=_help("strict"))] = None,
    projection: Annotated[Method | None, Parameter(help=_help("projection"))] = None,
    steps: Annotated[int | None, Parameter(help=_help("steps"))] = None,
    size: Annotated[str | None, Parameter(help=_help("size"))] = None,
    seed: Annotated[int | None, Parameter(help=_help("seed"))] = None,
    scan: Annotated[Path | None, Parameter(help="the file that keeps the scan; by default one in the cache")] = None,
    out: Annotated[Path, Parameter(help="the folder for the sheets")] = Path("patterns"),
    file: FromFile | None = None,
    arch: Arch = None,
    common: Common | None = None,
) -> int:
    """The places in real pictures that excite each UNIT most, and the pattern it sees there: LAYER:CHANNEL, LAYER:0-5, LAYER.

    Example: lanterna patterns efficientnet_lite0 blocks.2:0-5 --data samples
    """
    common = common or Common()
    fields: dict[str, Any] = {
        "units": unit or None, "data": data, "top": top, "crops": crops, "repeat": repeat, "strict": strict,
        "projection": projection, "steps": steps, "size": size, "seed": seed,
    }  # fmt: skip
    chosen = make_recipe(PatternsRecipe, file, fields)
    check_folder(out)
    if scan is not None and scan.suffix != ".safetensors":
        raise InputError(f"--scan {str(scan)!r} is not a scan's name; it ends in .safetensors")
    net = load_network(network, common, arch)
    made = _run(chosen, net, common, scan)
    record = describe(chosen, net, {"arch": arch})
    numbers = _numbers(made)
    pages = made.sheets()
    names = ["patterns.png"] if len(pages) == 1 else [f"patterns-{i:03d}.png" for i in range(len(pages))]
    with new_folder(out):
        files = [
            pictures.save(page, out / name, recipe={**record, "page": i})
            for i, (page, name) in enumerate(zip(pages, names, strict=True))
        ]
        files.append(write_json(out / "patterns.json", {"recipe": record, **numbers}))
    return _tell(made, record, numbers, files, common)


def _run(recipe: PatternsRecipe, net: Network, common: Common, scan: Path | None) -> Patterns:
    with watching("patterns", quiet=common.quiet, share=True) as listen:
        return run(recipe, net, listen, file=scan)


def _tell(made: Patterns, record: dict[str, Any], numbers: dict[str, Any], files: list[Path], common: Common) -> int:
    return tell(record, numbers, files, partial(_report, made, files), as_json=common.json, stopped=made.stopped)


def again(
    recipe: PatternsRecipe, net: Network, common: Common, out: Path, _options: dict[str, Any], record: dict[str, Any]
) -> int:
    """Make a sheet again from its `record`."""
    made = _run(recipe, net, common, None)
    file = pictures.save(made.sheets()[int(record.get("page", 0))], out, recipe=record)
    return _tell(made, record, _numbers(made), [file], common)


def _numbers(made: Patterns) -> dict[str, Any]:
    return {
        "data": made.data,
        "pictures": made.pictures,
        "samples": made.samples,
        "crops": made.crops,
        "unreadable": dict(made.unreadable),
        "notes": made.says(),
        "units": [
            {
                **one.numbers(),
                "made_activation": made.made_activation(one.unit),
                "dead": one.unit in made.dead,
            }
            for one in made.units
        ],
        "stopped": made.stopped,
    }


def _report(made: Patterns, files: list[Path]) -> None:
    for line in made.says():
        results.print(line, markup=False)
    if made.crops:
        results.print("NAME#TOP,LEFT,SIDE is a crop, in pixels", markup=False)
    kind = "crops" if made.crops else "pictures"
    for one in made.units:
        best = f"{one.found[0].value:.2f} in {one.found[0].sample}" if one.found else "nowhere"
        # A class, or a layer without a map, has one position in each picture, and no mean besides.
        mapped = one.scan.places > one.scan.count
        share = f"{float(one.scan.share_active[one.unit.channel]):.0%}"
        active = f"at {share} of all positions" if mapped else f"in {share} of all {kind}"
        beside = ""
        activation = made.made_activation(one.unit)
        if activation is not None:
            highest = f"mean over the map {float(one.scan.highest[one.unit.channel]):.2f} at most, " if mapped else ""
            beside = f"; {highest}{activation:.2f} in the picture made for it"
        results.print(f"{one.unit.title}: highest {best}; active {active}{beside}", markup=False)
    for file in files:
        results.print(str(file), markup=False)
