"""`invert`: pictures with the same representation."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lanterna import pictures
from lanterna.cli.console import results, stopping_after, watching
from lanterna.cli.options import Arch, Common, FromFile, field_help, load_network, make_recipe
from lanterna.cli.outcome import save_sheet, tell
from lanterna.networks.network import Network
from lanterna.objectives import Measure
from lanterna.provenance import describe
from lanterna.techniques.invert import Inversion, InvertRecipe, run
from lanterna.techniques.invert_prior import PriorName
from lanterna.techniques.likeness import not_asked

__all__ = ["again", "invert"]


def _help(field: str) -> str:
    return field_help(InvertRecipe, field)


def invert(
    network: str,
    /,
    *layer: str,
    picture: Annotated[str | None, Parameter(help=_help("picture"))] = None,
    samples: Annotated[int | None, Parameter(help=_help("samples"))] = None,
    start: Annotated[str | None, Parameter(name="--from", help=_help("start"))] = None,
    prior: Annotated[PriorName | None, Parameter(help=_help("prior"))] = None,
    weight: Annotated[float | None, Parameter(help=_help("weight"))] = None,
    measure: Annotated[Measure | None, Parameter(help=_help("measure"))] = None,
    channels: Annotated[str | None, Parameter(help=_help("channels"))] = None,
    region: Annotated[str | None, Parameter(help=_help("region"))] = None,
    spread: Annotated[float | None, Parameter(help=_help("spread"))] = None,
    spread_at: Annotated[str | None, Parameter(help=_help("spread_at"))] = None,
    steps: Annotated[int | None, Parameter(help=_help("steps"))] = None,
    size: Annotated[str | None, Parameter(help=_help("size"))] = None,
    native: Annotated[bool | None, Parameter(negative=(), help=_help("native"))] = None,
    judge: Annotated[str | None, Parameter(help=_help("judge"))] = None,
    seed: Annotated[int | None, Parameter(help=_help("seed"))] = None,
    singles: Annotated[bool, Parameter(negative=(), help="also one file for each picture, beside the sheet")] = False,
    out: Annotated[Path, Parameter(help="the PNG to write")] = Path("invert.png"),
    file: FromFile | None = None,
    arch: Arch = None,
    common: Common | None = None,
) -> int:
    """Recreate a picture from what each LAYER of NETWORK says about it; LAYER may be all, a dozen through the depth.

    Example: lanterna invert efficientnet_lite0 blocks.1 blocks.3 --picture chelsea --out layers.png
    """
    common = common or Common()
    fields = {
        "layers": layer or None, "picture": picture, "samples": samples, "start": start, "prior": prior, "weight": weight,
        "measure": measure, "channels": channels, "region": region, "spread": spread, "spread_at": spread_at,
        "steps": steps, "size": size, "native": native, "judge": judge, "seed": seed,
    }  # fmt: skip
    chosen = make_recipe(InvertRecipe, file, fields)
    pictures.check_writable(out)
    net = load_network(network, common, arch)
    return _make(chosen, net, common, out, {"singles": singles, "arch": arch})


def _run(recipe: InvertRecipe, net: Network, common: Common, until: int | None) -> Inversion:
    """The run with its bar; `until` ends it after so many steps, as the user once did."""
    with watching("invert", quiet=common.quiet) as listen:
        return run(recipe, net, stopping_after(listen, until))


def _make(
    recipe: InvertRecipe,
    net: Network,
    common: Common,
    out: Path,
    options: dict[str, Any],
    before: dict[str, Any] | None = None,
) -> int:
    """Make the sheet, or what the record `before` says that was made once."""
    before = before or {}
    result = _run(recipe, net, common, before.get("stopped_after"))
    record = describe(recipe, net, options)
    if result.stopped:
        record["stopped_after"] = result.steps
    files: list[Path] = []
    if result.recreations:
        files = save_sheet(
            result.sheet, result.pictures(), out, record, singles=options["singles"], single=before.get("single")
        )
    report = partial(_report, result, files)
    return tell(record, numbers(result), files, report, as_json=common.json, stopped=result.stopped)


def numbers(result: Inversion) -> dict[str, Any]:
    """All numbers of a result, ready for JSON."""
    hidden = ("pictures", "trace")
    layers = [{key: value for key, value in vars(made).items() if key not in hidden} for made in result.recreations]
    return {"layers": layers, "judge": result.judge, "steps": result.steps, "stopped": result.stopped}


def _share(flags: tuple[bool, ...] | None, meaning: str) -> str:
    return "" if flags is None else f", {meaning} {sum(flags)} of {len(flags)}"


def _range(values: tuple[float, ...], digits: int) -> str:
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _report(result: Inversion, files: list[Path]) -> None:
    if not files:
        results.print("stopped before the first step; no picture was saved", markup=False)
    for made in result.recreations:
        judged = _share(made.judge_agrees, f"{result.judge} agrees on")
        results.print(
            f"{made.layer}: feature error {_range(made.feature_error, 4)} of the photograph's own, "
            f"{_range(made.pair_error, 4)} of that between photographs; PSNR {_range(made.psnr, 1)} dB, "
            f"SSIM {_range(made.ssim, 3)}{_share(made.top1_kept, 'class kept by')}"
            f"{_share(made.top5_kept, 'among the best five of')}{judged}",
            markup=False,
        )
        if made.pixel_distance is not None and made.feature_distance is not None:
            results.print(
                f"  samples apart by {made.pixel_distance:.4f} in pixels and {made.feature_distance:.4f} in features; "
                f"six photographs by {made.real_pixel_distance:.4f} and {made.real_feature_distance:.4f}",
                markup=False,
            )
    if said := not_asked(result.recipe.judge, result.judge is not None):
        results.print(said, markup=False)
    for file in files:
        results.print(str(file), markup=False)


def again(
    recipe: InvertRecipe, net: Network, common: Common, out: Path, options: dict[str, Any], record: dict[str, Any]
) -> int:
    """Make a picture again from its `record`: the whole sheet, or the one of its pictures that was saved by itself."""
    chosen = {"singles": False, "arch": None} | options | {"singles": False}
    return _make(recipe, net, common, out, chosen, before=record)
