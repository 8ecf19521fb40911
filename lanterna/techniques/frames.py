"""The frames of a film as files in a folder, so that a film which was interrupted goes on after the last whole one."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lanterna.errors import InputError, PictureError
from lanterna.files import remove_temporary, replace_file

__all__ = ["frame_file", "frames_folder", "ready_frames", "remove_frames"]


def frames_folder(out: Path) -> Path:
    """Where the frames of the film `out` are kept until it is whole."""
    return out.with_name(out.stem + ".frames")


def frame_file(folder: Path, index: int) -> Path:
    """The file of one frame, counted from 0."""
    return folder / f"frame-{index:05d}.png"


def ready_frames(folder: Path, mark: Mapping[str, Any], count: int) -> list[Path]:
    """The whole frames that are there, from the first on. Raises InputError where they are of another film."""
    try:
        folder.mkdir(exist_ok=True)
        remove_temporary(folder)
        note = folder / "recipe.json"
        if note.exists():
            if json.loads(note.read_text(encoding="utf-8")) != dict(mark):
                raise InputError(f"the frames in {folder} are of another film; remove that folder, or give another --out")
        elif any(folder.iterdir()):
            raise InputError(f"{folder} is not empty, and has no film's frames; remove that folder, or give another --out")
        else:
            replace_file(note, [json.dumps(dict(mark)).encode()])
    except (OSError, ValueError) as error:
        raise PictureError(f"the frames can't be kept in {folder}: {error}") from error
    frames: list[Path] = []
    while len(frames) < count and (file := frame_file(folder, len(frames))).is_file():
        frames.append(file)
    return frames


def remove_frames(folder: Path) -> None:
    """Remove the frames and their folder, and nothing else that may be in it."""
    remove_temporary(folder)
    for file in [*folder.glob("frame-*.png"), folder / "recipe.json"]:
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
