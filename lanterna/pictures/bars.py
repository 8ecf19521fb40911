"""Probabilities as bars with their labels, as wide as the picture they stand below."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from lanterna.pictures.sheet import font_for

__all__ = ["bars"]

_INK, _LINE, _PLAIN, _MARKED = (40, 40, 40), (225, 221, 212), (120, 138, 150), (190, 84, 26)


def bars(rows: Sequence[tuple[str, float, bool]], width: int = 224) -> Tensor:
    """One bar for each (label, share in [0, 1], whether to mark it): float32 (1, 3, H, `width`), on white."""
    points = max(11, round(width / 19))
    font = font_for(points, "".join(label for label, _, _ in rows))
    line, bar = round(points * 1.4), max(4, points // 2)
    page = Image.new("RGB", (width, len(rows) * (line + bar + 4) + 4), "white")
    draw = ImageDraw.Draw(page)
    for row, (label, share, marked) in enumerate(rows):
        top = row * (line + bar + 4)
        number = f"{100 * share:.1f} %"
        room = width - font.getlength(number) - 6
        short = label
        while len(short) > 1 and font.getlength(short) > room:
            short = short.removesuffix("...")[:-1].rstrip() + "..."
        draw.text((0, top), short, fill=_INK, font=font)
        draw.text((width - font.getlength(number), top), number, fill=_INK, font=font)
        draw.rectangle((0, top + line, width - 1, top + line + bar), fill=_LINE)
        if share > 0.002:
            draw.rectangle((0, top + line, round((width - 1) * share), top + line + bar), fill=_MARKED if marked else _PLAIN)
    return torch.from_numpy(np.array(page)).permute(2, 0, 1)[None].float() / 255
