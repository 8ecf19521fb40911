"""Contact sheets: many pictures on white, each with its caption."""

import importlib.util
import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lanterna.errors import InputError
from lanterna.pictures.read import as_picture
from lanterna.wording import visible

__all__ = ["font_for", "sheet"]

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_INK, _TITLE_INK = (60, 60, 60), (0, 0, 0)
_NARROWEST = 96  # a cell: tiny pictures, MNIST's say, still get captions that can be read
_MOST_LINES = 3
_ELLIPSIS = "..."


def sheet(
    pictures: Tensor | Sequence[Tensor],
    captions: Sequence[str] = (),
    *,
    columns: int | None = None,
    row_titles: Sequence[str] = (),
) -> Tensor:
    """Puts pictures side by side on white, in rows, each with its caption below.

    `pictures` is a batch (B, 3, H, W) in [0, 1] or a sequence of (1, 3, H, W) or (3, H, W) of any sizes; their pixels are
    kept as they are, clamped to [0, 1]. `captions` has one text each, or is empty; they are wrapped at the cell's width,
    and end in "..." beyond three lines. `columns` is by default the number that gives a landscape page, or one row per
    title. `row_titles` has one text per row, set above it.

    Gives float32 (1, 3, H, W). Raises InputError for no pictures or numbers that do not match, PictureError for what is
    not a picture.

    >>> sheet(torch.rand(6, 3, 64, 64), [f"conv:{channel}" for channel in range(6)], columns=3).shape[1]
    3
    """
    cells = [as_picture(picture)[0].clamp(0, 1) for picture in pictures]
    columns = _columns(len(cells), columns, len(row_titles))
    rows = math.ceil(len(cells) / columns) if cells else 0
    _check(len(cells), len(captions), rows, len(row_titles))
    captions, row_titles = [visible(text) for text in captions], [visible(text) for text in row_titles]

    width = max(picture.shape[2] for picture in cells)
    width = max(width, _NARROWEST) if captions else width
    text = "".join([*captions, *row_titles])
    font, title_font = font_for(_points(width), text), font_for(round(_points(width) * 1.25), text)
    gap, pad = max(4, width // 20), max(2, width // 40)
    page_width = gap + columns * (width + gap)

    blocks = []
    for row in range(rows):
        inside = slice(row * columns, (row + 1) * columns)
        lines = [_wrapped(caption, font, width) for caption in captions[inside]]
        title = _wrapped(row_titles[row], title_font, page_width - 2 * gap, most=1) if row_titles else []
        blocks.append(_row(cells[inside], lines, title, font, title_font, (width, page_width, gap, pad)))
    blocks.append(torch.ones(3, gap, page_width))
    return torch.cat(blocks, dim=1)[None]


def _check(pictures: int, captions: int, rows: int, titles: int) -> None:
    if not pictures:
        raise InputError("a sheet needs at least one picture; none was given")
    if captions not in (0, pictures):
        raise InputError(f"{captions} captions for {pictures} pictures; one each, or none at all")
    if titles not in (0, rows):
        raise InputError(f"{titles} row titles for {rows} rows; one each, or none at all")


def _columns(pictures: int, columns: int | None, titles: int) -> int:
    if columns is not None:
        if columns < 1:
            raise InputError(f"{columns} columns are not allowed; at least 1")
        return min(columns, max(pictures, 1))
    if titles:
        return max(1, math.ceil(pictures / titles))
    if pictures <= 4:
        return max(1, pictures)
    # About 4:3, then as even as the rows allow: 9 pictures are 3 x 3 and not 4 + 4 + 1.
    rows = math.ceil(pictures / math.ceil(math.sqrt(pictures * 4 / 3)))
    return math.ceil(pictures / rows)


def _row(
    cells: list[Tensor],
    captions: list[list[str]],
    title: list[str],
    font: Font,
    title_font: Font,
    layout: tuple[int, int, int, int],
) -> Tensor:
    width, page_width, gap, pad = layout
    height = max(picture.shape[1] for picture in cells)
    top = gap + (_line_height(title_font) + pad if title else 0)
    most_lines = max((len(lines) for lines in captions), default=0)
    below = pad + most_lines * _line_height(font) if most_lines else 0

    page = Image.new("RGB", (page_width, top + height + below), "white")
    draw = ImageDraw.Draw(page)
    for line in title:
        draw.text((gap, gap), line, fill=_TITLE_INK, font=title_font)
    for column, lines in enumerate(captions):
        centre = gap + column * (width + gap) + width / 2
        for index, line in enumerate(lines):
            start = centre - font.getlength(line) / 2
            draw.text((round(start), top + height + pad + index * _line_height(font)), line, fill=_INK, font=font)

    block = torch.from_numpy(np.array(page)).permute(2, 0, 1).float() / 255
    for column, picture in enumerate(cells):
        # Set in as floats, so that the sheet's pixels are the picture's own; at the bottom, next to the caption.
        left = gap + column * (width + gap) + (width - picture.shape[2]) // 2
        start_row = top + height - picture.shape[1]
        block[:, start_row : top + height, left : left + picture.shape[2]] = picture
    return block


def _wrapped(text: str, font: Font, width: float, most: int = _MOST_LINES) -> list[str]:
    """The text in lines no wider than `width`: broken at spaces, inside a word only where it is too long by itself."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            joined = f"{line} {word}" if line else word
            if font.getlength(joined) <= width:
                line = joined
                continue
            if line:
                lines.append(line)
            *full, line = _pieces(word, font, width)
            lines.extend(full)
        lines.append(line)
    if len(lines) > most:
        last = lines[most - 1]
        while last and font.getlength(last + _ELLIPSIS) > width:
            last = last[:-1]
        lines = [*lines[: most - 1], last.rstrip() + _ELLIPSIS]
    return lines


def _pieces(word: str, font: Font, width: float) -> list[str]:
    pieces = [""]
    for character in word:
        if pieces[-1] and font.getlength(pieces[-1] + character) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


def _points(width: int) -> int:
    return min(32, max(12, round(width / 15)))


def _line_height(font: Font) -> int:
    return math.ceil(font.getbbox("Agjy|")[3] * 1.15)


@cache
def _has_glyph(character: str) -> bool:
    font = _default(16)
    # What a font lacks it draws as it draws a character that no font has.
    return character.isspace() or bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))


@cache
def _default(points: int) -> Font:
    return ImageFont.load_default(points)


@cache
def _wide(points: int) -> Font | None:
    # Pillow's own font ends with ASCII; matplotlib, which is needed anyway, brings one with é, × and λ.
    spec = importlib.util.find_spec("matplotlib")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(location, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf")
        if path.is_file():
            return ImageFont.truetype(str(path), points)
    return None


def font_for(points: int, text: str) -> Font:
    """A font of that many points that has every character of `text`, where one is installed."""
    if all(_has_glyph(character) for character in set(text)):
        return _default(points)
    return _wide(points) or _default(points)
