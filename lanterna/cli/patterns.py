"""`patterns`: what real pictures excite a unit."""

import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import ValidationError

from lanterna import pictures
from lanterna.cli.console import Stopper, listener, print_json, results
from lanterna.cli.options import Arch, Common, load_network, readable
from lanterna.errors import InputError
from lanterna.networks.wheels import replace_file
from lanterna.patterns.projection import Method
from lanterna.provenance import describe
from lanterna.report.tour import check_folder
from lanterna.techniques.patterns import Patterns, PatternsRecipe, run

__all__ = ["patterns"]


def _help(field: str) -> str:
    about = PatternsRecipe.model_fields[field]
    if about.default is None or about.default is False:
        return str(about.description)
    return f"{about.description} [{about.default}]"


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
    try:
        recipe = PatternsRecipe.model_validate({key: value for key, value in fields.items() if value is not None})
    except ValidationError as error:
        raise InputError(readable(error)) from error
    check_folder(out)
    if scan is not None and scan.suffix != ".safetensors":
        raise InputError(f"--scan {str(scan)!r} is not a scan's name; it ends in .safetensors")
    net = load_network(network, common, arch)
    stopper = Stopper()
    with stopper.installed(), listener("patterns", stopper, quiet=common.quiet) as listen:
        made = run(recipe, net, listen, file=scan)
    record = describe(recipe, net, {"arch": arch})
    numbers = {"recipe": record, **_numbers(made)}
    out.mkdir(parents=True, exist_ok=True)
    pages = made.sheets()
    names = ["patterns.png"] if len(pages) == 1 else [f"patterns-{i:03d}.png" for i in range(len(pages))]
    files = [
        pictures.save(page, out / name, recipe={**record, "page": i})
        for i, (page, name) in enumerate(zip(pages, names, strict=True))
    ]
    replace_file(out / "patterns.json", [json.dumps(numbers, indent=2, ensure_ascii=False).encode()])
    outputs = [str(file) for file in (*files, out / "patterns.json")]
    if common.json:
        print_json({**numbers, "outputs": outputs})
    else:
        _report(made, outputs)
    return 130 if made.stopped else 0


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
                "made_activation": made.made[one.unit][0].activation[made.made[one.unit][1]]
                if one.unit in made.made
                else None,
                "dead": one.unit in made.dead,
            }
            for one in made.units
        ],
        "stopped": made.stopped,
    }


def _report(made: Patterns, outputs: list[str]) -> None:
    for line in made.says():
        results.print(line, markup=False)
    for one in made.units:
        best = f"{one.found[0].value:.2f} in {one.found[0].sample}" if one.found else "nowhere"
        share = float(one.scan.share_active[one.unit.channel])
        beside = ""
        if one.unit in made.made:
            result, i = made.made[one.unit]
            highest = float(one.scan.highest[one.unit.channel])
            beside = f"; mean over the map {highest:.2f} at most, {result.activation[i]:.2f} in the picture made for it"
        results.print(f"{one.unit.title}: highest {best}; active at {share:.0%} of all positions{beside}", markup=False)
    for file in outputs:
        results.print(file, markup=False)
