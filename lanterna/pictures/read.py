"""Reading pictures: a file, a sample's name or an array becomes a float32 tensor (1, 3, H, W), sRGB in [0, 1]."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BufferedReader
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lanterna.errors import PictureError
from lanterna.files import expanded, open_regular
from lanterna.pictures.decode import MOST_BYTES, MOST_KEPT, opened, to_floats
from lanterna.pictures.samples import samples
from lanterna.wording import nearest, shortened

__all__ = ["as_picture", "digest", "fitted", "from_array", "load", "picture_file", "read_bytes", "samples_at", "to_pil"]


def load(path: str | Path, *, size: int | tuple[int, int] | None = None, reduced: bool = False) -> Tensor:
    """Reads a picture as people see it: upright, on white, in sRGB, the first frame of an animation.

    `path` is a file, or the name of a sample picture (`lanterna.pictures.samples()`) where no file has that name.
    `size` in pixels: a number is the longer side; (height, width) is exact, after a central crop to that aspect ratio.
    Resizing is bicubic and antialiased.

    Files of up to 64 million pixels are read, and up to 26 million are kept. A picture between the two is
    halved before it is resized to `size`, or where it may be `reduced`, for what will be looked at in small anyway.

    Gives float32 (1, 3, H, W), sRGB in [0, 1]. Raises PictureError for a file that is missing, empty, truncated, no regular
    file, not a picture, or too large, and for a size that is not positive or beyond the limit.

    >>> load("chelsea", size=(224, 224)).shape
    torch.Size([1, 3, 224, 224])
    """
    _check_size(size)
    with picture_file(path) as file, opened(file, str(path)) as image:
        floats = to_floats(image, str(path), reduced=reduced or size is not None)
    return _resize(torch.from_numpy(floats)[None], size)


def fitted(picture: Tensor, size: int | tuple[int, int] | None) -> Tensor:
    """A picture (1, 3, H, W) or (3, H, W) in [0, 1] at `size`, as `load` gives one from a file. Raises PictureError."""
    _check_size(size)
    values = as_picture(picture)
    if not (values.min() >= 0 and values.max() <= 1):
        raise PictureError(f"a picture with values from {values.min()} to {values.max()} is not allowed; [0, 1] is")
    return _resize(values, size)


@lru_cache(maxsize=4)
def samples_at(size: tuple[int, int]) -> tuple[Tensor, ...]:
    """All sample pictures, each (1, 3, *size), by name in order; kept, for they are what every number is held against."""
    return tuple(load(path, size=size) for path in samples().values())


def digest(path: str | Path) -> str:
    """The SHA-256 of the file's bytes, in hexadecimal: what a recipe says about a picture that went in.

    Finds files and sample names as `load` does, and raises PictureError where there is none.
    """
    with picture_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def from_array(array: NDArray[np.generic] | Image.Image) -> Tensor:
    """A picture from a numpy array (H, W), (H, W, 1) or (H, W, 3), or from a PIL image of any mode.

    Integers are 8 or 16 bits wide, unsigned; floats lie in [0, 1]; booleans are black and white.
    Gives float32 (1, 3, H, W). Raises PictureError for any other array.
    """
    if isinstance(array, Image.Image):
        # A copy: it may be turned in place.
        return torch.from_numpy(to_floats(array.copy(), "image"))[None]
    grey = array[..., None] if array.ndim == 2 else array
    if grey.ndim != 3 or grey.shape[2] not in (1, 3) or 0 in grey.shape:
        raise PictureError(f"an array of shape {array.shape} is not a picture; (H, W), (H, W, 1) and (H, W, 3) are")
    if grey.dtype in (np.uint8, np.uint16):
        values = grey.astype(np.float32) / np.float32(255 if grey.dtype == np.uint8 else 65535)
    elif grey.dtype == np.bool_ or np.issubdtype(grey.dtype, np.floating):
        values = grey.astype(np.float32)
    else:
        raise PictureError(f"an array of {array.dtype} is not a picture; bool, uint8, uint16 and floats in [0, 1] are")
    # Written so that NaN fails too.
    if not (values.min() >= 0 and values.max() <= 1):
        raise PictureError(f"an array with values from {values.min()} to {values.max()} is not a picture; [0, 1] is allowed")
    return _as_tensor(np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values)


def to_pil(picture: Tensor) -> Image.Image:
    """The picture, (1, 3, H, W) or (3, H, W) in [0, 1], as an 8-bit RGB PIL image; values are rounded, and clamped to [0, 1].

    Raises PictureError for another shape, for integers and for values that are not finite.
    """
    values = as_picture(picture)[0].clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())


def as_picture(picture: Tensor) -> Tensor:
    """Checks one picture, (1, 3, H, W) or (3, H, W); gives it as float32 (1, 3, H, W) on the CPU, without gradient."""
    batch = len(picture) if picture.ndim == 4 else 1
    if picture.ndim not in (3, 4) or picture.shape[-3] != 3 or picture.numel() == 0 or batch != 1:
        several = "; for several pictures make a sheet" if batch > 1 else ""
        raise PictureError(f"a tensor {tuple(picture.shape)} is not one picture; (1, 3, H, W) and (3, H, W) are{several}")
    if not picture.is_floating_point():
        raise PictureError(f"a picture of {picture.dtype} is not allowed; pictures are floats in [0, 1]")
    values = picture.detach().to(device="cpu", dtype=torch.float32).reshape(1, *picture.shape[-3:])
    if not bool(values.isfinite().all()):
        raise PictureError("the picture has values that are not finite (NaN or infinity); pictures are floats in [0, 1]")
    return values


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a picture's file, or of a sample by name; PictureError says why there are none."""
    with picture_file(path) as file:
        return file.read()


@contextmanager
def picture_file(path: str | Path) -> Iterator[BufferedReader]:
    """A picture's file, or a sample's by name, open for reading; PictureError says why it can't be.

    Only regular files are pictures: a pipe or a device may never end.
    """
    try:
        file = expanded(path)
        # Bare names only: "./chelsea" means the file. A folder called chelsea is no picture.
        shipped = samples() if Path(path).name == str(path) else {}
        if str(path) in shipped and not file.is_file():
            file = shipped[str(path)]
        if not str(path):
            raise PictureError("the name of a picture is empty; give a file, or a sample such as coffee")
        if file.is_dir():
            raise PictureError(f"picture {str(path)!r} is a folder; give one file in it")
        stream = open_regular(file)
    except FileNotFoundError as error:
        raise PictureError(_missing(str(path), file, list(shipped))) from error
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise PictureError(f"picture {shortened(str(path))} can't be read: {reason}") from error
    with stream:
        size = os.fstat(stream.fileno()).st_size
        if size > MOST_BYTES:
            raise PictureError(f"picture {str(path)!r} has {size:,} bytes; at most {MOST_BYTES:,} are read")
        yield stream


def _missing(given: str, file: Path, shipped: list[str]) -> str:
    message = f"picture {shortened(given)} does not exist"
    if not file.parent.is_dir():
        return f"{message}; there is no folder {shortened(str(file.parent))}"
    try:
        names = [entry.name for entry in file.parent.iterdir() if entry.is_file()]
    except OSError:
        names = []
    # Without suffixes: a wrong one is a usual slip, and the same one makes no two names alike.
    known = [*shipped, *names]
    stems = nearest(file.stem, [Path(name).stem for name in known])
    matches = [name for stem in stems for name in known if Path(name).stem == stem][:3]
    folder = "" if str(file.parent) == "." else f" in {str(file.parent)!r}"
    if matches:
        return f"{message}; did you mean " + " or ".join(repr(match) for match in matches) + f"{folder}?"
    samples_hint = "; the samples are: " + ", ".join(shipped) if shipped else ""
    return f"{message}; nothing{folder or ' in this folder'} has a similar name{samples_hint}"


def _as_tensor(floats: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.array(floats.transpose(2, 0, 1), dtype=np.float32, order="C"))[None]


def _check_size(size: int | tuple[int, int] | None) -> None:
    if size is None:
        return
    sides = (size, size) if isinstance(size, int) else size
    if len(sides) != 2 or any(side < 1 for side in sides):
        raise PictureError(f"size {size} is not allowed; it is the longer side, or (height, width), in pixels from 1 on")
    # Of the longer side alone: a picture of that size may be a line.
    most = sides[0] if isinstance(size, int) else sides[0] * sides[1]
    if most > MOST_KEPT:
        raise PictureError(f"size {size} is {most:,} pixels or more; at most {MOST_KEPT:,} are allowed")


def _resize(picture: Tensor, size: int | tuple[int, int] | None) -> Tensor:
    if size is None:
        return picture
    height, width = picture.shape[-2:]
    if isinstance(size, int):
        longer = max(height, width)
        target = (max(1, round(height * size / longer)), max(1, round(width * size / longer)))
    else:
        target = size
        crop_height = min(height, max(1, round(width * size[0] / size[1])))
        crop_width = min(width, max(1, round(height * size[1] / size[0])))
        top, left = (height - crop_height) // 2, (width - crop_width) // 2
        picture = picture[..., top : top + crop_height, left : left + crop_width]
    if target[0] * target[1] > MOST_KEPT:
        raise PictureError(
            f"a picture of {height}x{width} would be {target[0]}x{target[1]} at size {size}, "
            f"{target[0] * target[1]:,} pixels; at most {MOST_KEPT:,} are allowed"
        )
    if picture.shape[-2:] != target:
        # Bicubic overshoots at edges, out of [0, 1].
        picture = F.interpolate(picture, size=target, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    return picture.contiguous()
