"""What `stylize` does with a clip: its frames painted, and put together as a film or kept in a folder."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lanterna.cli.console import errors, results, watching
from lanterna.cli.options import Common
from lanterna.cli.outcome import tell
from lanterna.errors import InputError, PictureError
from lanterna.files import expanded
from lanterna.networks.network import Network
from lanterna.pictures.clip import ANIMATIONS, CLIPS, Clip, is_clip
from lanterna.pictures.film import ANIMATED, FILMS, check_film, save_film
from lanterna.provenance import describe
from lanterna.techniques.frames import frames_folder, remove_frames
from lanterna.techniques.style_layers import advice
from lanterna.techniques.stylize_clip import StylizeClipRecipe, StylizedClip, run

__all__ = ["check_clip_out", "make_clip", "wants_clip"]

# Of a folder of frames, which does not say.
_FPS = 25.0
# A picture's --out; of these, WebP may be a film too.
_STILLS = (".png", ".jpg", ".jpeg")


def wants_clip(content: str | None, out: Path | None) -> bool:
    """Whether a clip is to be painted. A still --out takes the first frame of an animation. Raises InputError."""
    suffix = "" if out is None else out.suffix.lower()
    if content is None or not is_clip(content):
        if suffix in FILMS:
            raise InputError(f"--out {out} is a film, and {content!r} no clip; {CLIPS}; for a picture give a .png")
        return False
    if suffix not in _STILLS:
        return True
    if Path(content).suffix.lower() in ANIMATIONS:
        return False
    raise InputError(f"--out {out} is a picture, and {content!r} a clip; give a {', '.join(ANIMATED)}, or a folder")


def check_clip_out(out: Path, *, keep_frames: bool) -> Path:
    """Makes sure that the film, or the folder of frames, can be written. Raises PictureError, MissingError."""
    if out.suffix:
        return check_film(out, ANIMATED)
    if keep_frames:
        raise InputError(f"--keep-frames goes with a film; the folder {out} keeps them anyway")
    target = expanded(out)
    if target.is_file() or not target.absolute().parent.is_dir():
        raise PictureError(f"can't keep the frames in {str(out)!r}: it is a file, or in a folder that does not exist")
    return target


def make_clip(
    recipe: StylizeClipRecipe,
    net: Network,
    common: Common,
    out: Path,
    options: dict[str, Any],
    clip: Clip,
    *,
    fps: float | None,
    keep_frames: bool,
) -> int:
    """Paint `clip`, the recipe's content, write the film, and tell how still it is."""
    filmed = bool(out.suffix)
    folder = frames_folder(out) if filmed else out
    record = describe(recipe, net, options)
    with watching("stylize", quiet=common.quiet, share=True) as listen:
        made = run(recipe, net, folder, record, listen, clip=clip)
    # A film that was stopped is none; its frames wait for the next run of the same command.
    files = [] if filmed and made.stopped else [out]
    if filmed and files:
        save_film(made.frames, out, fps=fps or made.fps or _FPS)
        if not keep_frames:
            remove_frames(folder)
    report = partial(_report, made, out, folder, None if common.quiet or made.stopped else advice(recipe, net))
    return tell(record, _numbers(made), files, report, as_json=common.json, stopped=made.stopped)


def _report(made: StylizedClip, out: Path, folder: Path, more: str | None) -> None:
    if made.stopped:
        results.print(f"frames in {folder}: {len(made.frames)}; the same command goes on", markup=False)
        return
    for name, loss in made.losses.items():
        results.print(f"{name}: {loss:.4g}", markup=False)
    # At a cut there is nothing to compare with.
    flicker, own, trusted = (
        _mean([value for value, share in zip(values, made.trusted, strict=True) if share])
        for values in (made.flicker, made.content_flicker, made.trusted)
    )
    results.print(f"flicker: {flicker:.4f} (of the clip itself {own:.4f}, over {trusted:.0%} of the pixels)", markup=False)
    results.print(str(out), markup=False)
    if more is not None:
        errors.print(more, markup=False)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(len(values), 1)


def _numbers(made: StylizedClip) -> dict[str, Any]:
    return {
        "frames": len(made.frames),
        "size": f"{made.size[0]}x{made.size[1]}",
        "losses": made.losses,
        "flicker": list(made.flicker),
        "content_flicker": list(made.content_flicker),
        "trusted": list(made.trusted),
        "resumed": made.resumed,
        "stopped": made.stopped,
    }
