"""`visualize`: pictures that excite units."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lanterna import pictures
from lanterna.canvas import CanvasName
from lanterna.cli.console import Stopper, results, stopping_after, watching
from lanterna.cli.options import Arch, Common, FromFile, field_help, load_network, make_recipe
from lanterna.cli.outcome import save_sheet, tell
from lanterna.errors import InputError
from lanterna.networks.network import Network
from lanterna.provenance import describe
from lanterna.techniques.real import Real, over_data
from lanterna.techniques.units import parse_size, parse_units
from lanterna.techniques.visualize import Visualization, VisualizeRecipe, run
from lanterna.wording import counted

__all__ = ["again", "visualize"]


def _help(field: str) -> str:
    return field_help(VisualizeRecipe, field)


def visualize(
    network: str,
    /,
    *unit: str,
    start: Annotated[str | None, Parameter(name="--from", help=_help("start"))] = None,
    size: Annotated[str | None, Parameter(help=_help("size"))] = None,
    steps: Annotated[int | None, Parameter(help=_help("steps"))] = None,
    canvas: Annotated[CanvasName | None, Parameter(help=_help("canvas"))] = None,
    diversity: Annotated[int | None, Parameter(help=_help("diversity"))] = None,
    minimize: Annotated[bool | None, Parameter(negative="--maximize", help=_help("minimize"))] = None,
    lr: Annotated[float | None, Parameter(help=_help("lr"))] = None,
    tv: Annotated[float | None, Parameter(help=_help("tv"))] = None,
    smooth: Annotated[float | None, Parameter(help=_help("smooth"))] = None,
    restrain: Annotated[float | None, Parameter(help=_help("restrain"))] = None,
    decay: Annotated[float | None, Parameter(help=_help("decay"))] = None,
    shift: Annotated[float | None, Parameter(help=_help("shift"))] = None,
    rotate: Annotated[float | None, Parameter(help=_help("rotate"))] = None,
    zoom: Annotated[float | None, Parameter(help=_help("zoom"))] = None,
    seed: Annotated[int | None, Parameter(help=_help("seed"))] = None,
    strip: Annotated[bool, Parameter(negative=(), help="show the way from start to end")] = False,
    singles: Annotated[bool, Parameter(negative=(), help="also one file for each picture, beside the sheet")] = False,
    data: Annotated[str | None, Parameter(help="data, as for patterns, that tells what is the most in real pictures")] = None,
    out: Annotated[Path, Parameter(help="the PNG to write")] = Path("visualize.png"),
    file: FromFile | None = None,
    arch: Arch = None,
    common: Common | None = None,
) -> int:
    """Pictures that excite each UNIT: LAYER:CHANNEL, LAYER:CHANNEL@ROW,COLUMN, LAYER:0-5, or logits:CLASS.

    Example: lanterna visualize efficientnet_lite0 "logits:sea lion" --out sealion.png
    """
    common = common or Common()
    fields = {
        "units": unit or None, "start": start, "size": size, "steps": steps, "canvas": canvas, "diversity": diversity,
        "minimize": minimize, "lr": lr, "tv": tv, "smooth": smooth,
        "restrain": restrain, "decay": decay, "shift": shift, "rotate": rotate, "zoom": zoom,
        "seed": seed,
    }  # fmt: skip
    chosen = make_recipe(VisualizeRecipe, file, fields)
    pictures.check_writable(out)
    net = load_network(network, common, arch)
    real = None if data is None else _real(chosen, net, common, data)
    return _make(chosen, net, common, out, {"strip": strip, "singles": singles, "arch": arch}, real=real)


def _can_save(net: Network) -> None:
    if net.channels not in (1, 3):
        raise InputError(
            f"{net.name} takes {net.channels} channels; pictures are saved with 1 or 3, so use Network.visualize in Python"
        )


def _run(recipe: VisualizeRecipe, net: Network, common: Common, until: int | None) -> Visualization:
    """The run with its bar; `until` ends it after so many steps, as the user once did."""
    _can_save(net)
    with watching("visualize", quiet=common.quiet) as listen:
        return run(recipe, net, stopping_after(listen, until))


def _shown(result: Visualization, *, strip: bool) -> Any:
    """The picture that is saved: bare for one unit, else a sheet."""
    if strip:
        rows = [frame for i in range(len(result.pictures)) for frame in result.strip[:, i].expand(-1, 3, -1, -1)]
        before = [f"step {step}" for step in result.strip_steps[:-1]]
        captions = [text for caption in result.captions() for text in (*before, caption)]
        return pictures.sheet(rows, captions, columns=len(result.strip))
    return result.sheet() if len(result.pictures) > 1 else result.pictures


def _make(
    recipe: VisualizeRecipe,
    net: Network,
    common: Common,
    out: Path,
    options: dict[str, Any],
    real: list[Real] | None = None,
    before: dict[str, Any] | None = None,
) -> int:
    """Make the sheet, or what the record `before` says that was made once."""
    before = before or {}
    result = _run(recipe, net, common, before.get("stopped_after"))
    record = describe(recipe, net, options)
    if result.stopped:
        record["stopped_after"] = result.steps
    shown = partial(_shown, result, strip=bool(options["strip"]))
    files = save_sheet(shown, result.pictures, out, record, singles=options["singles"], single=before.get("single"))
    beside = _beside(recipe, real)
    numbers = {**_numbers(result), **{key: [asdict(one) for one in values] for key, values in beside.items()}}
    report = partial(_report, result, files, beside)
    return tell(record, numbers, files, report, as_json=common.json, stopped=result.stopped)


def _numbers(result: Visualization) -> dict[str, Any]:
    return {
        "units": [unit.title for unit in result.units],
        "activation": list(result.activation),
        "start_activation": list(result.start_activation),
        "sample_activation": None if result.sample_activation is None else list(result.sample_activation),
        "dead": list(result.dead),
        "steps": result.steps,
        "stopped": result.stopped,
    }


def _real(recipe: VisualizeRecipe, net: Network, common: Common, data: str) -> list[Real]:
    _can_save(net)
    units = parse_units(recipe.units, net)
    parse_size(recipe.size, net)
    stopper = Stopper()
    with watching("scan", quiet=common.quiet, stopper=stopper) as listen:
        found = over_data(net, units, data, listen)
    if stopper.asked:
        raise KeyboardInterrupt
    return found


def _beside(recipe: VisualizeRecipe, real: list[Real] | None) -> dict[str, list[Real]]:
    """What real pictures do, once for each picture that was made."""
    return {} if real is None else {"real": [one for one in real for _ in range(recipe.diversity)]}


def _report(result: Visualization, files: list[Path], beside: dict[str, list[Real]]) -> None:
    samples = result.sample_activation or (None,) * len(result.units)
    for i, (unit, end, start, real, dead) in enumerate(
        zip(result.units, result.activation, result.start_activation, samples, result.dead, strict=True)
    ):
        best = "" if real is None else f", best sample picture {real:.2f}"
        if beside:
            one = beside["real"][i]
            best += (
                f"; of {counted(one.pictures, 'real picture')} at most {one.highest:.2f}, 99 % below {one.quantile_99:.2f}"
            )
        note = "  DEAD: no gradient ever reached it" if dead else ""
        results.print(f"{unit.title}: activation {end:.2f} (start {start:.2f}{best}){note}", markup=False)
    for file in files:
        results.print(str(file), markup=False)


def again(
    recipe: VisualizeRecipe, net: Network, common: Common, out: Path, options: dict[str, Any], record: dict[str, Any]
) -> int:
    """Make a picture again from its `record`: the whole sheet, or the one of its pictures that was saved by itself."""
    chosen = {"strip": False, "singles": False, "arch": None} | options | {"singles": False}
    return _make(recipe, net, common, out, chosen, before=record)
