"""Writing pictures, and the recipe that every PNG carries."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL.PngImagePlugin import PngImageFile, PngInfo
from torch import Tensor

from lanterna.errors import PictureError
from lanterna.files import expanded, replace_file, try_folder
from lanterna.pictures.decode import opened
from lanterna.pictures.read import read_bytes, to_pil

__all__ = ["check_writable", "read_recipe", "save", "to_jpeg_bytes", "to_png_bytes", "to_webp_bytes"]

_KEY = "lanterna"
# Characters of a recipe: ours have some thousand, and one of 4,096 units has less. Read, it takes forty times as much.
MOST_RECORD = 4 << 20
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def save(picture: Tensor, path: str | Path, *, recipe: Mapping[str, object] | None = None) -> Path:
    """Writes one picture, (1, 3, H, W) or (3, H, W) in [0, 1], with 8 bits per channel, rounded; gives the path written.

    The suffix decides: `.png`, `.jpg`, `.jpeg` or `.webp` (lossy, quality 95). A PNG carries `recipe` (anything JSON can
    hold) in its iTXt chunk "lanterna", where `read_recipe` finds it; for JPEG and WebP the recipe goes nowhere.
    A file that exists is replaced only by the finished one; after an error nothing half-written stays.

    Raises PictureError as `check_writable` and `to_png_bytes` do.
    """
    target = check_writable(path)
    content = _encoded(picture, _FORMATS[target.suffix.lower()], recipe, str(path))
    try:
        replace_file(target, [content])
    except OSError as error:
        raise _cannot_write(str(path), error) from error
    return target


def to_png_bytes(picture: Tensor, recipe: Mapping[str, object] | None = None) -> bytes:
    """The bytes of the PNG that `save` would write, for a page or a notebook.

    Raises PictureError for what is not one picture in [0, 1] and for a recipe that JSON can't hold.
    """
    return _encoded(picture, "PNG", recipe, "the picture")


def to_jpeg_bytes(picture: Tensor) -> bytes:
    """The picture for a page, an eighth of its PNG: JPEG with all of its colour, for ascent draws edges in colour alone.

    Raises PictureError for what is not one picture in [0, 1].
    """
    return _encoded(picture, "JPEG for pages", None, "the picture")


def to_webp_bytes(picture: Tensor) -> bytes:
    """The picture for a page with every 8-bit level as it is, smaller than its PNG. Raises PictureError likewise."""
    return _encoded(picture, "exact WEBP", None, "the picture")


def check_writable(path: str | Path) -> Path:
    """Makes sure that a picture can be written to `path`, before anything is computed; gives it as a Path.

    Raises PictureError for a suffix that is not `.png`, `.jpg`, `.jpeg` or `.webp`, a folder that does not exist
    or can't be written, and a path that is itself a folder.
    """
    target = Path(path)
    try:
        target = expanded(target)
        if target.is_dir():
            raise PictureError(f"can't write the picture {str(path)!r}: it is a folder; give a file in it")
        if target.suffix.lower() not in _FORMATS:
            given = f"the suffix {target.suffix!r} is not known" if target.suffix else "it has no suffix"
            raise PictureError(f"can't write the picture {str(path)!r}: {given}; allowed are {', '.join(_FORMATS)}")
        folder = target.resolve().parent
        if not folder.is_dir():
            raise PictureError(f"can't write the picture {str(path)!r}: there is no folder {str(folder)!r}; make it first")
        try_folder(folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise _cannot_write(str(path), error) from error
    return target


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The recipe that a PNG made by Lanterna carries.

    Raises PictureError for a file that is not a picture or has no recipe, or one that is not a JSON object.
    """
    with opened(read_bytes(path), str(path)) as image:
        text = image.info.get(_KEY)
        if text is None and isinstance(image, PngImageFile):
            # Other programs may move the chunk behind the pixels, where it is found only by decoding them.
            text = image.text.get(_KEY)
        kind = image.format
    if not isinstance(text, str):
        raise PictureError(f"picture {str(path)!r} ({kind}) has no recipe; only PNG files that Lanterna wrote have one")
    if len(text) > MOST_RECORD:
        raise PictureError(
            f"the recipe in picture {str(path)!r} has {len(text):,} characters; at most {MOST_RECORD:,} are read"
        )
    try:
        recipe = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PictureError(f"the recipe in picture {str(path)!r} is damaged: {error}") from error
    if not isinstance(recipe, dict):
        raise PictureError(f"the recipe in picture {str(path)!r} is damaged: it is not a JSON object")
    return recipe


def _encoded(picture: Tensor, kind: str, recipe: Mapping[str, object] | None, name: str) -> bytes:
    image = to_pil(picture)
    buffer = io.BytesIO()
    try:
        if kind == "PNG":
            image.save(buffer, kind, pnginfo=_chunk(recipe))
        elif kind == "JPEG":
            image.save(buffer, kind, quality=95, subsampling=0)
        elif kind == "JPEG for pages":
            # Without `optimize`: Pillow gives it a byte for each pixel, and what is noise in all colours needs more.
            image.save(buffer, "JPEG", quality=90, subsampling=0)
        elif kind == "exact WEBP":
            image.save(buffer, "WEBP", lossless=True, quality=60)
        else:
            image.save(buffer, kind, quality=95)
    except (OSError, ValueError, SystemError) as error:
        # JPEG ends at 65,535 pixels a side, WebP at 16,383.
        raise PictureError(f"can't write {name!r}, {image.width}x{image.height} pixels, as {kind}: {error}") from error
    return buffer.getvalue()


def _chunk(recipe: Mapping[str, object] | None) -> PngInfo | None:
    if recipe is None:
        return None
    try:
        # ASCII: a file name may hold half a surrogate pair, which no encoding can write.
        text = json.dumps(dict(recipe), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise PictureError(f"the recipe can't be written as JSON: {error}") from error
    info = PngInfo()
    info.add_itxt(_KEY, text)
    return info


def _cannot_write(name: str, error: Exception) -> PictureError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return PictureError(f"can't write the picture {name!r}: {reason}")
