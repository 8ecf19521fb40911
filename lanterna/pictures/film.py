"""Films out of pictures: GIF with Pillow, MP4 with PyAV; whole or not at all."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from lanterna.errors import MissingError, PictureError
from lanterna.pictures.write import temporary_name

__all__ = ["FILMS", "check_film", "save_film"]

FILMS = (".mp4", ".gif")


def check_film(path: str | Path) -> Path:
    """Makes sure, before anything is computed, that a film can be written to `path`; gives it as a Path.

    Raises PictureError for a suffix that is not `.mp4` or `.gif`, or a folder that can't be written, and MissingError
    where an MP4 is asked for without PyAV.
    """
    target = Path(path).expanduser()
    if target.suffix.lower() not in FILMS:
        raise PictureError(f"can't write the film {str(path)!r}: allowed are {', '.join(FILMS)}")
    if target.is_dir() or not target.resolve().parent.is_dir():
        raise PictureError(f"can't write the film {str(path)!r}: it is a folder, or in a folder that does not exist")
    if target.suffix.lower() == ".mp4" and importlib.util.find_spec("av") is None:
        raise MissingError("MP4 needs PyAV: pip install 'lanterna[video]'; GIF needs nothing")
    return target


def save_film(frames: Sequence[Path], path: str | Path, *, fps: int = 25) -> Path:
    """Writes the pictures in the files `frames`, all of one size, as a film; an odd last row or column is cut off in MP4.

    Raises PictureError where it can't be written: the file that was there before then still is.
    """
    target = check_film(path)
    encode: Callable[[Sequence[Path], Path, int], None] = _mp4 if target.suffix.lower() == ".mp4" else _gif
    temporary = temporary_name(target.resolve().parent)
    try:
        encode(frames, temporary, fps)
        temporary.replace(target.resolve())
    except OSError as error:
        raise PictureError(f"can't write the film {str(path)!r}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return target


def _images(frames: Sequence[Path]) -> Iterator[Image.Image]:
    for frame in frames:
        with Image.open(frame) as image:
            yield image.convert("RGB")


def _gif(frames: Sequence[Path], target: Path, fps: int) -> None:
    # One at a time: Pillow takes a generator, and a film in memory would be large.
    first, *_ = _images(frames[:1])
    # GIF counts in hundredths of a second, and below two most programs slow down.
    hundredths = max(2, round(100 / fps))
    first.save(
        target, "GIF", save_all=True, append_images=_images(frames[1:]), duration=10 * hundredths, loop=0, optimize=False
    )


def _mp4(frames: Sequence[Path], target: Path, fps: int) -> None:
    import av

    with av.open(str(target), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        for image in _images(frames):
            # The colour planes of yuv420p have half the side.
            width, height = image.width // 2 * 2, image.height // 2 * 2
            if stream.width != width:
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.options = {"crf": "16", "preset": "medium"}
            picture = av.VideoFrame.from_image(image.crop((0, 0, width, height)))  # type: ignore[no-untyped-call]
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
