"""Clips: the frames of a video file, of an animation, or of a folder, one at a time."""

import hashlib
import importlib.util
import io
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from torch import Tensor

from lanterna.errors import InputError, MissingError, PictureError
from lanterna.files import check_regular, expanded, open_regular
from lanterna.pictures.decode import DECODER_ERRORS, MOST_KEPT, opened
from lanterna.pictures.read import fitted, from_array, load, read_bytes
from lanterna.pictures.samples import samples

__all__ = ["ANIMATIONS", "CLIPS", "Clip", "clip_digest", "is_clip", "open_clip"]

Kind = Literal["video", "animation", "folder"]

VIDEOS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ogv", ".wmv", ".flv", ".3gp", ".ts")
# FFmpeg's names of the formats that these files have: among them none that names other files.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,ogg,asf,flv"
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
ANIMATIONS = (".gif", ".webp", ".png", ".apng", ".avif")
_STILLS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif")
CLIPS = "a clip is a video file, an animated GIF or WebP, or a folder of frames"


@dataclass(frozen=True)
class Clip:
    """A clip that has been looked through once: all of its `count` frames can be read, and have `size` (height, width).

    `fps` is how many are shown in a second; None for a folder, which does not say.
    """

    path: Path
    kind: Kind
    count: int
    size: tuple[int, int]
    fps: float | None

    def frames(self, size: int | tuple[int, int] | None = None) -> Iterator[Tensor]:
        """The frames in order, each float32 (1, 3, H, W), sRGB in [0, 1]; `size` as for `load`. One is held at a time."""
        for image in islice(_images(self.path, self.kind), self.count):
            yield fitted(from_array(image) if isinstance(image, Image.Image) else image, size)


def is_clip(path: str | Path) -> bool:
    """Whether this names a clip and not a picture, as far as can be told from its name and its header.

    A folder is one, a video file by its suffix, and an animation of several frames. A sample's name is a picture, also
    where a folder has that name.
    """
    file = expanded(path)
    if not str(path):
        # No name, which as a path would be the current folder.
        return False
    if Path(path).name == str(path) and str(path) in samples() and not file.is_file():
        return False
    if file.is_dir() or file.suffix.lower() in VIDEOS:
        return True
    if file.suffix.lower() not in ANIMATIONS or not file.is_file():
        return False
    try:
        with opened(read_bytes(file), str(path), _ANIMATED) as image:
            # To the second frame only: to count them all takes as long as there are.
            image.seek(1)
            return True
    except (PictureError, EOFError):
        return False


def open_clip(path: str | Path, *, most: int | None = None) -> Clip:
    """Looks through a clip once, or its first `most` frames, so that nothing is computed for one that can't be read.

    Raises PictureError for what is missing, is no clip, has a frame that can't be read, or frames of differing sizes;
    InputError for a clip of a single frame; MissingError for a video file without PyAV.
    """
    file = expanded(path)
    if not is_clip(path):
        # What is no picture either is said by what reads it.
        load(path)
        raise InputError(f"{str(path)!r} is a single picture; {CLIPS}")
    kind: Kind = "folder" if file.is_dir() else "video" if file.suffix.lower() in VIDEOS else "animation"
    if kind == "video":
        _check_video(file)
    count, size, first = 0, (0, 0), ""
    for frame, name in zip(islice(_images(file, kind), most), _names(file, kind), strict=False):
        found = (frame.height, frame.width) if isinstance(frame, Image.Image) else (frame.shape[2], frame.shape[3])
        size, first = (size, first) if count else (found, name)
        if found != size:
            raise PictureError(
                f"{name} of {str(path)!r} is {found[0]}x{found[1]}, but {first} is {size[0]}x{size[1]}; "
                "all frames of a clip must have one size"
            )
        count += 1
    if not count:
        raise PictureError(f"{str(path)!r} has no frames; {CLIPS} ({', '.join(_STILLS)})")
    if count == 1:
        raise InputError(f"{str(path)!r} has one frame to paint; a clip needs at least two")
    return Clip(file, kind, count, size, _fps(file, kind, count))


def clip_digest(path: str | Path) -> str:
    """The SHA-256, in hexadecimal, of a clip's file, or of a folder's frames one after the other."""
    digest = hashlib.sha256()
    file = expanded(path)
    if not file.exists():
        # Says what has a similar name.
        read_bytes(path)
    for part in _stills(file) if file.is_dir() else [file]:
        try:
            with open_regular(part) as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise PictureError(f"{str(part)!r} can't be read: {error.strerror or error}") from error
    return digest.hexdigest()


def _natural(file: Path) -> list[tuple[int, str]]:
    # frame-9 before frame-10.
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", file.name.lower())]


def _stills(folder: Path) -> list[Path]:
    try:
        found = [file for file in folder.iterdir() if file.suffix.lower() in _STILLS and not file.name.startswith(".")]
    except OSError as error:
        raise PictureError(f"the folder {str(folder)!r} can't be read: {error.strerror or error}") from error
    return sorted(found, key=_natural)


def _names(file: Path, kind: Kind) -> Iterator[str]:
    """What to call each frame in a message."""
    if kind == "folder":
        yield from (repr(still.name) for still in _stills(file))
        return
    number = 0
    while True:
        number += 1
        yield f"frame {number}"


def _images(file: Path, kind: Kind) -> Iterator[Image.Image | Tensor]:
    if kind == "folder":
        return (load(still) for still in _stills(file))
    return _decoded(file) if kind == "video" else _animated(file)


def _animated(file: Path) -> Iterator[Image.Image]:
    content = read_bytes(file)
    # Checked here, where warnings are kept off; the frames are read outside of it, for a generator would hold it open.
    with opened(content, str(file), _ANIMATED):
        pass
    with Image.open(io.BytesIO(content), formats=_ANIMATED) as image:
        for number in itertools.count():
            try:
                image.seek(number)
            except EOFError:
                return
            except DECODER_ERRORS as error:
                raise PictureError(f"frame {number + 1} of {str(file)!r} is truncated or damaged: {error}") from error
            try:
                image.load()
            except DECODER_ERRORS as error:
                raise PictureError(f"frame {number + 1} of {str(file)!r} is truncated or damaged: {error}") from error
            yield image


def _check_video(file: Path) -> None:
    if not file.exists():
        read_bytes(file)
    try:
        check_regular(file)
    except OSError as error:
        raise PictureError(f"{str(file)!r} can't be read: {error}") from error
    if importlib.util.find_spec("av") is None:
        raise MissingError(
            f"reading {str(file)!r} needs PyAV: pip install 'lanterna[video]'; GIF, WebP and folders of frames need nothing"
        )


def _decoded(file: Path) -> Iterator[Image.Image]:
    import av

    number = 0
    try:
        with _container(file) as container:
            if not container.streams.video:
                raise PictureError(f"{str(file)!r} has no pictures in it, only sound; {CLIPS}")
            _check_frame(file, container.streams.video[0])
            for frame in container.decode(video=0):
                number += 1
                _check_frame(file, frame)
                image: Image.Image = frame.to_image()
                # Phones film sideways and write down how to turn it.
                turn = int(getattr(frame, "rotation", 0))
                yield image.rotate(turn, expand=True) if turn else image
    except (av.FFmpegError, OSError, ValueError) as error:
        what = f"frame {number + 1} of {str(file)!r}" if number else f"{str(file)!r}"
        reason = getattr(error, "strerror", None) or error
        raise PictureError(f"{what} is truncated, damaged or no video: {reason}") from error


@contextmanager
def _container(file: Path) -> Iterator[Any]:
    """A video file, opened as what it is: FFmpeg takes names for addresses, and playlists for leave to open other files."""
    import av

    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
    with open_regular(file) as stream, av.open(stream, options=options) as container:
        yield container


def _check_frame(file: Path, frame: Any) -> None:
    if frame.width * frame.height > MOST_KEPT:
        raise PictureError(f"{str(file)!r} has frames of {frame.width}x{frame.height}; at most {MOST_KEPT:,} pixels are read")


def _fps(file: Path, kind: Kind, count: int) -> float | None:
    if kind == "folder":
        return None
    if kind == "video":
        with _container(file) as container:
            rate = container.streams.video[0].average_rate
        return float(rate) if rate else None
    with opened(read_bytes(file), str(file), _ANIMATED) as image:
        times = []
        for number in range(count):
            image.seek(number)
            image.load()
            times.append(float(image.info.get("duration", 0)))
    mean = sum(times) / len(times)
    # Of 10 ms and less browsers make 100 ms.
    return 1000 / mean if mean > 10 else 10.0
