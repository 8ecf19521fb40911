"""Films out of pictures: GIF and WebP with Pillow, MP4 with PyAV; whole or not at all."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from PIL import Image

from lanterna.errors import MissingError, PictureError
from lanterna.files import expanded, temporary_name

__all__ = ["ANIMATED", "FILMS", "check_film", "save_film"]

# What is always a film; a WebP may be a single picture as well.
FILMS = (".mp4", ".gif")
ANIMATED = (*FILMS, ".webp")


def check_film(path: str | Path, allowed: Sequence[str] = FILMS) -> Path:
    """Makes sure, before anything is computed, that a film can be written to `path`; gives it as a Path.

    Raises PictureError for a suffix that is not `allowed`, or a folder that can't be written, and MissingError where an MP4
    is asked for without PyAV.
    """
    target = expanded(path)
    if target.suffix.lower() not in allowed:
        raise PictureError(f"can't write the film {str(path)!r}: allowed are {', '.join(allowed)}")
    if target.is_dir() or not target.resolve().parent.is_dir():
        raise PictureError(f"can't write the film {str(path)!r}: it is a folder, or in a folder that does not exist")
    if target.suffix.lower() == ".mp4" and importlib.util.find_spec("av") is None:
        raise MissingError("MP4 needs PyAV: pip install 'lanterna[video]'; GIF needs nothing")
    return target


# A file of one, read when its turn comes, or the picture itself.
Frame = Path | Image.Image


def save_film(frames: Sequence[Frame], path: str | Path, *, fps: float = 25) -> Path:
    """Writes the pictures `frames`, all of one size, as a film; an odd last row or column is cut off in MP4.

    The suffix decides: `.mp4`, `.gif` (256 colours) or `.webp` (lossy, quality 90).

    Raises PictureError where it can't be written: the file that was there before then still is.
    """
    target = check_film(path, ANIMATED)
    encoders: dict[str, Callable[[Sequence[Frame], Path, float], None]] = {".mp4": _mp4, ".gif": _gif, ".webp": _webp}
    temporary = temporary_name(target.resolve().parent)
    try:
        encoders[target.suffix.lower()](frames, temporary, fps)
        temporary.replace(target.resolve())
    except OSError as error:
        raise PictureError(f"can't write the film {str(path)!r}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return target


def _images(frames: Sequence[Frame]) -> Iterator[Image.Image]:
    for frame in frames:
        if isinstance(frame, Image.Image):
            yield frame
            continue
        with Image.open(frame) as image:
            yield image.convert("RGB")


def _gif(frames: Sequence[Frame], target: Path, fps: float) -> None:
    # One at a time: Pillow takes a generator, and a film in memory would be large.
    first, *_ = _images(frames[:1])
    # GIF counts in hundredths of a second, and below two most programs slow down.
    hundredths = max(2, round(100 / fps))
    first.save(
        target, "GIF", save_all=True, append_images=_images(frames[1:]), duration=10 * hundredths, loop=0, optimize=False
    )


def _webp(frames: Sequence[Frame], target: Path, fps: float) -> None:
    first, *_ = _images(frames[:1])
    rest, shown = _images(frames[1:]), max(1, round(1000 / fps))
    first.save(target, "WEBP", save_all=True, append_images=rest, duration=shown, loop=0, quality=90)


def _mp4(frames: Sequence[Frame], target: Path, fps: float) -> None:
    import av

    with av.open(str(target), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        for image in _images(frames):
            # The colour planes of yuv420p have half the side.
            width, height = image.width // 2 * 2, image.height // 2 * 2
            if stream.width != width:
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.options = {"crf": "16", "preset": "medium"}
            picture = av.VideoFrame.from_image(image.crop((0, 0, width, height)))  # type: ignore[no-untyped-call]
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
