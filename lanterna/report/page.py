"""Pages: HTML from templates, pictures inside it, written whole or not at all."""

import base64
import hashlib
import math
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from torch import Tensor

from lanterna import pictures as pictures_io
from lanterna.errors import PictureError
from lanterna.files import replace_file, try_folder
from lanterna.report.figures import collect
from lanterna.report.words import FILTERS, both
from lanterna.wording import visible

__all__ = ["check_folder", "environment", "picture_data", "render", "write_page"]

# Columns of a row of pictures: more are too small to look at, fewer are larger than there is detail.
_ACROSS, _FEWEST = 6, 4
# Of commands that make one file; those that make a folder are easily taken for one of them.
_FILES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".mp4", ".html", ".json")


@cache
def environment() -> jinja2.Environment:
    """The templates of `report/templates`, with what they may call."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("lanterna", "report/templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"picture": picture_data, "collect": collect, "both": both, "columns": _columns}
    made.filters |= FILTERS
    made.filters["allowed"] = _allowed
    return made


def _allowed(script: str) -> str:
    """What a Content-Security-Policy calls a script of the page itself: with it, no other script runs."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _columns(count: int) -> int:
    """For so many pictures: at most six beside each other, and no row with a single one."""
    rows = math.ceil(count / _ACROSS)
    return max(math.ceil(count / max(rows, 1)), _FEWEST)


def render(template: str, **values: Any) -> Markup:
    """The template of that name in `report/templates`; text is escaped and visible, what is Markup already is not escaped."""
    return Markup(visible(environment().get_template(template).render(**values)))


def picture_data(picture: Tensor, *, exact: bool = False) -> str:
    """A picture (1, 3, H, W) or (3, H, W) in [0, 1] as the `src` of an image; `exact` where every level counts."""
    kind, content = ("webp", pictures_io.to_webp_bytes(picture)) if exact else ("jpeg", pictures_io.to_jpeg_bytes(picture))
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def check_folder(out: str | Path) -> Path:
    """The folder `out`, which need not exist yet. Raises PictureError for the name of a file and what can't be written."""
    folder = Path(out)
    if folder.suffix.lower() in _FILES and not folder.is_dir():
        raise PictureError(f"{folder} names a file, but a folder with several is made; give --out {folder.with_suffix('')}")
    near = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not near.is_dir():
        raise PictureError(f"the folder {folder} can't be made: {near} is a file; give another --out")
    try:
        try_folder(near)
    except OSError as error:
        raise PictureError(f"the folder {folder} can't be written: {error.strerror or error}; give another --out") from error
    return folder


def write_page(page: Path, text: str) -> None:
    """Write `text` to `page`, whole or not at all. Raises PictureError where there is no space for it, or no right to."""
    try:
        replace_file(page, [text.encode()])
    except OSError as error:
        raise PictureError(
            f"can't write the page {page}: {error.strerror or error}; give another --out: what was made is kept in the cache"
        ) from error
