"""`stylize` and `texture`: paint a picture in the style of others, or more of their texture."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from lanterna import pictures
from lanterna.cli.checkpoint import Checkpoint
from lanterna.cli.console import Stopper, errors, results, watching
from lanterna.cli.film import KINDS, Film
from lanterna.cli.options import Arch, Common, FromFile, field_help, load_network, make_recipe
from lanterna.cli.outcome import tell
from lanterna.cli.stylize_clip import check_clip_out, make_clip, wants_clip
from lanterna.errors import InputError
from lanterna.events import Event, Preview
from lanterna.files import claimed
from lanterna.moments import StatisticName
from lanterna.networks.adapt import Pooling
from lanterna.networks.network import Network
from lanterna.pictures.clip import CLIPS, open_clip
from lanterna.pictures.film import check_film
from lanterna.provenance import describe
from lanterna.techniques.paint import Sketch
from lanterna.techniques.sketches import key_of, load_sketch, save_sketch
from lanterna.techniques.style_layers import CHAIN, USUAL, advice, usual_network
from lanterna.techniques.style_recipe import (
    Border,
    Colour,
    ContentLoss,
    Optimizer,
    PresetName,
    StyleRecipe,
    StylizeClipRecipe,
    StylizeRecipe,
    TextureRecipe,
)
from lanterna.techniques.stylize import Stylized, check_masks, run

__all__ = ["again", "stylize", "texture"]

# Steps between two checkpoints: a second or more each, so little is lost. Of L-BFGS they hold up to 24 pictures.
_KEEP_EVERY = 10

Numbers = Annotated[str | None, Parameter(help=field_help(StyleRecipe, "style_blend_weights") + ", with commas")]
Names = Annotated[str | None, Parameter(help=field_help(StyleRecipe, "style_layers") + ", with commas")]
CheckpointPath = Annotated[
    Path | None,
    Parameter(help="a file to keep the run's state in, to go on from; by default one beside the result, after a minute"),
]
FilmPath = Annotated[Path | None, Parameter(name="--film", help="also a film of the steps, .webp or .gif")]
NetworkName = Annotated[str | None, Parameter(help=f"the network whose features are matched [{USUAL}; with gatys {CHAIN}]")]


def _help(field: str) -> str:
    return field_help(StylizeClipRecipe, field)


def _split(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"--style-blend-weights {text!r} are not numbers with commas, such as 3,1") from error


def stylize(
    content: str,
    /,
    *style: str,
    style_blend_weights: Numbers = None,
    content_weight: Annotated[float | None, Parameter(help=_help("content_weight"))] = None,
    style_weight: Annotated[float | None, Parameter(help=_help("style_weight"))] = None,
    tv_weight: Annotated[float | None, Parameter(help=_help("tv_weight"))] = None,
    style_scale: Annotated[float | None, Parameter(help=_help("style_scale"))] = None,
    size: Annotated[str | None, Parameter(help=_help("size"))] = None,
    init: Annotated[str | None, Parameter(help=_help("init"))] = None,
    color: Annotated[Colour | None, Parameter(help=_help("color"))] = None,
    mask: Annotated[list[str] | None, Parameter(negative=(), help=_help("masks") + "; once for each")] = None,
    content_layers: Annotated[str | None, Parameter(help=_help("content_layers") + ", with commas")] = None,
    style_layers: Names = None,
    content_loss: Annotated[ContentLoss | None, Parameter(help=_help("content_loss"))] = None,
    statistic: Annotated[StatisticName | None, Parameter(help=_help("statistic"))] = None,
    scramble: Annotated[bool | None, Parameter(negative=(), help=_help("scramble"))] = None,
    pooling: Annotated[Pooling | None, Parameter(help=_help("pooling"))] = None,
    padding: Annotated[Border | None, Parameter(help=_help("padding"))] = None,
    preset: Annotated[PresetName | None, Parameter(help=_help("preset"))] = None,
    steps: Annotated[int | None, Parameter(help=_help("steps"))] = None,
    optimizer: Annotated[Optimizer | None, Parameter(help=_help("optimizer"))] = None,
    lr: Annotated[float | None, Parameter(help=_help("lr"))] = None,
    tile: Annotated[int | None, Parameter(help=_help("tile"))] = None,
    seed: Annotated[int | None, Parameter(help=_help("seed"))] = None,
    network: NetworkName = None,
    temporal_weight: Annotated[float | None, Parameter(help="clips: " + _help("temporal_weight"))] = None,
    warm_start: Annotated[bool | None, Parameter(help="clips: " + _help("warm_start"))] = None,
    frames: Annotated[int | None, Parameter(help="clips: " + _help("frames"))] = None,
    fps: Annotated[float | None, Parameter(help="clips: frames a second of the film; by default the clip's own")] = None,
    keep_frames: Annotated[bool, Parameter(negative=(), help="clips: keep the film's frames in NAME.frames")] = False,
    checkpoint: CheckpointPath = None,
    film: FilmPath = None,
    out: Annotated[
        Path | None,
        Parameter(help="the PNG to write [stylize.png]; of a clip a .mp4, .gif, .webp or folder [stylize.mp4]"),
    ] = None,
    file: FromFile | None = None,
    arch: Arch = None,
    common: Common | None = None,
) -> int:
    """Paint CONTENT, a picture or a clip, in the style of each STYLE: files or sample pictures.

    Example: lanterna stylize chelsea coffee --size 384 --out cat.png
    """
    fields = {
        "content": content, "styles": style or None, "style_blend_weights": _numbers(style_blend_weights),
        "content_weight": content_weight, "style_weight": style_weight, "tv_weight": tv_weight, "style_scale": style_scale,
        "size": size, "init": init, "color": color, "masks": tuple(mask) if mask else None,
        "content_layers": _split(content_layers), "style_layers": _split(style_layers), "content_loss": content_loss,
        "statistic": statistic, "scramble": scramble, "pooling": pooling, "padding": padding, "preset": preset,
        "steps": steps, "optimizer": optimizer, "lr": lr, "tile": tile, "seed": seed,
    }  # fmt: skip
    common = common or Common()
    moving = {"temporal_weight": temporal_weight, "warm_start": warm_start, "frames": frames}
    if not wants_clip(content, out):
        given = {**moving, "fps": fps, "keep_frames": keep_frames or None}
        wrong = next((name.replace("_", "-") for name, value in given.items() if value is not None), None)
        if wrong is not None:
            raise InputError(f"--{wrong} goes with a clip, and {content!r} is none; {CLIPS}")
        return _command(StylizeRecipe, fields, file, network, arch, common, out or Path("stylize.png"), film, checkpoint)
    for flag, path in (("--film", film), ("--checkpoint", checkpoint)):
        if path is not None:
            raise InputError(f"{flag} is for a picture; a clip's frames are kept one by one, and the same command goes on")
    if fps is not None and not 0.1 <= fps <= 100:
        raise InputError(f"--fps {fps:g} is out of range; give 0.1 to 100 frames a second")
    chosen = make_recipe(StylizeClipRecipe, file, {**fields, **moving})
    target = check_clip_out(out or Path("stylize.mp4"), keep_frames=keep_frames)
    # Looked through before the network is loaded, which takes longer than to say what is wrong.
    clip = open_clip(chosen.content, most=chosen.frames)
    net = load_network(network or usual_network(chosen), common, arch)
    return make_clip(chosen, net, common, target, {"arch": arch}, clip, fps=fps, keep_frames=keep_frames)


def texture(
    *style: str,
    style_blend_weights: Numbers = None,
    style_weight: Annotated[float | None, Parameter(help=_help("style_weight"))] = None,
    tv_weight: Annotated[float | None, Parameter(help=_help("tv_weight"))] = None,
    style_scale: Annotated[float | None, Parameter(help=_help("style_scale"))] = None,
    size: Annotated[str | None, Parameter(help=_help("size"))] = None,
    tileable: Annotated[bool | None, Parameter(negative=(), help=field_help(TextureRecipe, "tileable"))] = None,
    style_layers: Names = None,
    statistic: Annotated[StatisticName | None, Parameter(help=_help("statistic"))] = None,
    scramble: Annotated[bool | None, Parameter(negative=(), help=_help("scramble"))] = None,
    pooling: Annotated[Pooling | None, Parameter(help=_help("pooling"))] = None,
    preset: Annotated[PresetName | None, Parameter(help=_help("preset"))] = None,
    steps: Annotated[int | None, Parameter(help=_help("steps"))] = None,
    optimizer: Annotated[Optimizer | None, Parameter(help=_help("optimizer"))] = None,
    lr: Annotated[float | None, Parameter(help=_help("lr"))] = None,
    tile: Annotated[int | None, Parameter(help=_help("tile"))] = None,
    seed: Annotated[int | None, Parameter(help=_help("seed"))] = None,
    network: Annotated[str, Parameter(help="the network whose features are matched")] = CHAIN,
    checkpoint: CheckpointPath = None,
    film: FilmPath = None,
    out: Annotated[Path, Parameter(help="the PNG to write")] = Path("texture.png"),
    file: FromFile | None = None,
    arch: Arch = None,
    common: Common | None = None,
) -> int:
    """More of the texture of STYLE, at any size, from noise.

    Example: lanterna texture gravel --size 256 --tileable --out gravel.png
    """
    fields = {
        "styles": style or None, "style_blend_weights": _numbers(style_blend_weights), "style_weight": style_weight,
        "tv_weight": tv_weight, "style_scale": style_scale, "size": size, "tileable": tileable,
        "style_layers": _split(style_layers), "statistic": statistic, "scramble": scramble, "pooling": pooling,
        "preset": preset, "steps": steps, "optimizer": optimizer, "lr": lr, "tile": tile, "seed": seed,
    }  # fmt: skip
    return _command(TextureRecipe, fields, file, network, arch, common or Common(), out, film, checkpoint)


def _command(
    kind: type[StyleRecipe],
    fields: dict[str, Any],
    file: FromFile | None,
    network: str | None,
    arch: str | None,
    common: Common,
    out: Path,
    film: Path | None,
    checkpoint: Path | None,
) -> int:
    chosen = make_recipe(kind, file, fields)
    pictures.check_writable(out)
    if film is not None:
        check_film(film, KINDS)
    if isinstance(chosen, StylizeRecipe):
        check_masks(chosen)
    net = load_network(network or usual_network(chosen), common, arch)
    return _make(chosen, net, common, out, {"arch": arch}, film, checkpoint)


def _make(
    recipe: StyleRecipe,
    net: Network,
    common: Common,
    out: Path,
    options: dict[str, Any],
    film: Path | None = None,
    checkpoint: Path | None = None,
) -> int:
    record = describe(recipe, net, options)
    stopper, key = Stopper(), key_of(record)
    state: Checkpoint[Sketch] = Checkpoint(
        checkpoint,
        out,
        read=lambda path: load_sketch(path, key),
        write=lambda sketch, path: save_sketch(sketch, path, key),
        stopping=lambda: stopper.asked,
    )
    with claimed(state.path):
        result, frames = _run(recipe, net, common, state, stopper, filmed=film is not None)
        if result.stopped:
            record["stopped_after"] = list(result.steps)
        files = [pictures.save(result.picture, out, recipe=record)]
        # The picture is safe: now the checkpoint may go, and the film may fail.
        if not result.stopped:
            state.remove()
    if film is not None:
        files.append(frames.save(film))
    if result.stopped and not common.quiet:
        told = state.unfinished(f"stopped at size {len(result.steps)} of {len(result.sizes)}")
        errors.print(f"{out}: {told}", markup=False)
    report = partial(_report, result, files, None if common.quiet else advice(recipe, net))
    return tell(record, _told(result), files, report, as_json=common.json, stopped=result.stopped)


def _run(
    recipe: StyleRecipe, net: Network, common: Common, state: Checkpoint[Sketch], stopper: Stopper, *, filmed: bool
) -> tuple[Stylized, Film]:
    resume = state.resume(quiet=common.quiet)
    frames = Film()
    name: Literal["stylize", "texture"] = "stylize" if isinstance(recipe, StylizeRecipe) else "texture"
    with watching(name, quiet=common.quiet, share=True, stopper=stopper) as listen:

        def listen_and_film(event: Event) -> Literal["stop"] | None:
            if isinstance(event, Preview) and filmed:
                frames.add(event.pictures)
            return listen(event)

        every = _KEEP_EVERY if filmed else 0
        assert isinstance(recipe, StylizeRecipe | TextureRecipe)
        result = run(
            recipe, net, listen_and_film, keep=state.keep, keep_every=_KEEP_EVERY, resume=resume, preview_every=every
        )
    frames.add(result.picture)
    return result, frames


def _report(result: Stylized, files: list[Path], more: str | None) -> None:
    for name, loss in result.losses.items():
        results.print(f"{name}: loss {loss:.4g} (start {result.start_losses[name]:.4g})", markup=False)
    for path in files:
        results.print(str(path), markup=False)
    if more is not None:
        errors.print(more, markup=False)


def _told(result: Stylized) -> dict[str, Any]:
    return {
        "sizes": [f"{height}x{width}" for height, width in result.sizes],
        "steps": list(result.steps),
        "losses": result.losses,
        "start_losses": result.start_losses,
        "stopped": result.stopped,
    }


def again(
    recipe: StyleRecipe, net: Network, common: Common, out: Path, options: dict[str, Any], record: dict[str, Any]
) -> int:
    """Make a picture again from its record."""
    if "frame" in record:
        raise InputError("a single frame of a clip is not made again by itself: run the command again on the clip")
    if "stopped_after" in record:
        raise InputError("this picture was stopped early; run its recipe again with --checkpoint, or to its end")
    return _make(recipe, net, common, out, options)
