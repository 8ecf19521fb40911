"""`dream`: more of what a layer sees in a picture, as a picture or as an endless zoom."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lanterna import pictures
from lanterna.cli.checkpoint import Checkpoint
from lanterna.cli.console import Stopper, errors, results, stopping_after, watching
from lanterna.cli.options import Arch, Common, FromFile, field_help, load_network, make_recipe
from lanterna.cli.outcome import tell
from lanterna.errors import InputError
from lanterna.files import claimed
from lanterna.networks.network import Network
from lanterna.pictures.film import FILMS, check_film, save_film
from lanterna.provenance import describe
from lanterna.techniques import zoom as zooming
from lanterna.techniques.dream import Dream, DreamRecipe, check_mask, run
from lanterna.techniques.frames import frames_folder, remove_frames
from lanterna.techniques.octaves import steps_at
from lanterna.techniques.paint import Sketch
from lanterna.techniques.sketches import key_of, load_sketch, save_sketch
from lanterna.techniques.zoom import ZoomRecipe

__all__ = ["again", "dream"]

_FPS = 25


def _help(field: str) -> str:
    return field_help(ZoomRecipe if field.startswith(("zoom", "keep")) and field != "keep_color" else DreamRecipe, field)


def dream(
    network: str,
    picture: Annotated[str | None, Parameter(help=_help("picture"))] = None,
    /,
    *,
    layer: Annotated[list[str] | None, Parameter(help=_help("layers"), negative=())] = None,
    octaves: Annotated[int | None, Parameter(help=_help("octaves"))] = None,
    octave_scale: Annotated[float | None, Parameter(help=_help("octave_scale"))] = None,
    steps: Annotated[int | None, Parameter(help=_help("steps"))] = None,
    step_size: Annotated[float | None, Parameter(help=_help("step_size"))] = None,
    guide: Annotated[str | None, Parameter(help=_help("guide"))] = None,
    mask: Annotated[str | None, Parameter(help=_help("mask"))] = None,
    keep_color: Annotated[bool | None, Parameter(help=_help("keep_color"), negative=())] = None,
    native: Annotated[bool | None, Parameter(help=_help("native"), negative=())] = None,
    size: Annotated[str | None, Parameter(help=_help("size"))] = None,
    shift: Annotated[int | None, Parameter(help=_help("shift"))] = None,
    restrain: Annotated[float | None, Parameter(help=_help("restrain"))] = None,
    tile: Annotated[int | None, Parameter(help=_help("tile"))] = None,
    untrained: Annotated[bool | None, Parameter(help=_help("untrained"), negative=())] = None,
    seed: Annotated[int | None, Parameter(help=_help("seed"))] = None,
    zoom: Annotated[int | None, Parameter(help=_help("zoom"))] = None,
    keep: Annotated[float | None, Parameter(help="with --zoom: " + _help("keep"))] = None,
    zoom_factor: Annotated[float | None, Parameter(help=_help("zoom_factor"))] = None,
    zoom_rotate: Annotated[float | None, Parameter(help=_help("zoom_rotate"))] = None,
    zoom_right: Annotated[float | None, Parameter(help=_help("zoom_right"))] = None,
    zoom_down: Annotated[float | None, Parameter(help=_help("zoom_down"))] = None,
    fps: Annotated[int | None, Parameter(help=f"frames a second of the film [{_FPS}]")] = None,
    keep_frames: Annotated[bool, Parameter(negative=(), help="keep the film's frames in NAME.frames")] = False,
    out: Annotated[Path | None, Parameter(help="the PNG to write [dream.png], or the .mp4 or .gif with --zoom")] = None,
    file: FromFile | None = None,
    arch: Arch = None,
    common: Common | None = None,
) -> int:
    """Ask a layer for more of whatever it sees in PICTURE, again and again.

    Example: lanterna dream efficientnet_lite0 coffee --out dream.png
    """
    common = common or Common()
    fields: dict[str, Any] = {
        "picture": picture, "layers": layer, "octaves": octaves, "octave_scale": octave_scale, "steps": steps,
        "step_size": step_size, "guide": guide, "mask": mask, "keep_color": keep_color, "native": native, "size": size,
        "shift": shift, "restrain": restrain, "tile": tile, "untrained": untrained, "seed": seed,
    }  # fmt: skip
    moving = {
        "keep": keep,
        "zoom_factor": zoom_factor,
        "zoom_rotate": zoom_rotate,
        "zoom_right": zoom_right,
        "zoom_down": zoom_down,
    }
    if zoom is None:
        given = [name for name, value in moving.items() if value is not None] + ["keep_frames"] * keep_frames
        given += [] if fps is None else ["fps"]
        if given:
            raise InputError(f"--{given[0].replace('_', '-')} goes with --zoom FRAMES")
        target = out or Path("dream.png")
        if target.suffix.lower() in FILMS:
            raise InputError(f"--out {target} is a film; give --zoom FRAMES as well, or a .png")
        chosen = make_recipe(DreamRecipe, file, fields)
        pictures.check_writable(target)
        check_mask(chosen)
        return _make(chosen, load_network(network, common, arch), common, target, {"arch": arch})
    fps = _FPS if fps is None else fps
    if not 1 <= fps <= 100:
        raise InputError(f"--fps {fps} is out of range; give 1 to 100 frames a second")
    film = make_recipe(ZoomRecipe, file, {**fields, "zoom": zoom, **moving})
    target = check_film(out or Path("dream.mp4"))
    check_mask(film)
    return _film(film, load_network(network, common, arch), common, target, {"arch": arch, "fps": fps}, keep_frames)


def _make(
    recipe: DreamRecipe, net: Network, common: Common, out: Path, options: dict[str, Any], until: int | None = None
) -> int:
    record, stopper = describe(recipe, net, options), Stopper()
    key = key_of(record)
    state: Checkpoint[Sketch] = Checkpoint(
        None,
        out,
        read=lambda path: load_sketch(path, key),
        write=lambda sketch, path: save_sketch(sketch, path, key),
        stopping=lambda: stopper.asked,
    )
    with claimed(state.path):
        with watching("dream", quiet=common.quiet, stopper=stopper) as listen:
            resume = None if until else state.resume(quiet=common.quiet)
            keep = None if until else state.keep
            result = run(recipe, net, stopping_after(listen, until), keep=keep, resume=resume)
        if result.stopped:
            record["stopped_after"] = result.steps
        file = pictures.save(result.picture, out, recipe=record)
        if not result.stopped:
            state.remove()
    if result.stopped and not common.quiet:
        total = sum(steps_at(recipe.steps, size) for size in result.sizes)
        errors.print(f"{out}: {state.unfinished(f'{result.steps} of {total} steps')}", markup=False)
    report = partial(_report, result, file)
    return tell(record, _numbers(result), [file], report, as_json=common.json, stopped=result.stopped)


def _report(result: Dream, file: Path) -> None:
    for wish, end, start in zip(result.wishes, result.activation, result.start_activation, strict=True):
        results.print(f"{wish.title}: activation {end:.3g} (before {start:.3g})", markup=False)
    results.print(str(file), markup=False)


def _numbers(result: Dream) -> dict[str, Any]:
    return {
        "layers": [wish.title for wish in result.wishes],
        "activation": list(result.activation),
        "start_activation": list(result.start_activation),
        "sizes": [list(size) for size in result.sizes],
        "tiles": result.tiles,
        "exact": result.exact,
        "steps": result.steps,
        "stopped": result.stopped,
    }


def _film(recipe: ZoomRecipe, net: Network, common: Common, out: Path, options: dict[str, Any], keep_frames: bool) -> int:
    folder = frames_folder(out)
    record = describe(recipe, net, options)
    with watching("dream", quiet=common.quiet) as listen:
        made = zooming.run(recipe, net, folder, lambda: record, listen)
    # An interrupted film is none; its frames wait for the next run of the same command.
    files = [] if made.stopped else [save_film(made.frames, out, fps=options["fps"])]
    if files and not keep_frames:
        remove_frames(folder)
    numbers = {"frames": len(made.frames), "resumed": made.resumed, "stopped": made.stopped}
    waiting = f"frames in {folder}: {len(made.frames)} of {recipe.zoom}; the same command goes on"
    report = partial(results.print, str(out) if files else waiting, markup=False)
    return tell(record, numbers, files, report, as_json=common.json, stopped=made.stopped)


def again(
    recipe: DreamRecipe, net: Network, common: Common, out: Path, options: dict[str, Any], record: dict[str, Any]
) -> int:
    """Make a dream again from its `record`."""
    if "frame" in record:
        raise InputError("a single frame of a film is not made again by itself: run the command with --zoom again")
    return _make(recipe, net, common, out, {"arch": None} | options, record.get("stopped_after"))
