"""The figure: made picture, patches, projections and control of one unit, side by side."""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.patterns.fields import Place

if TYPE_CHECKING:
    from lanterna.techniques.found import Found, Patterns, UnitPatterns

__all__ = ["grid", "marked", "patch_of", "shown_pattern", "unit_panels"]

SIDE = 264
_GAP = 4
_MARK = (0.94, 0.42, 0.05)
_SMOOTH_FROM = 32  # pixels; smaller patches are shown with their pixels as squares


def _fit(picture: Tensor, side: int) -> Tensor:
    """(1, 3, side, side), centred on white, the aspect ratio kept."""
    height, width = picture.shape[2:]
    scale = side / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    if max(height, width) < _SMOOTH_FROM:
        resized = F.interpolate(picture, size, mode="nearest")
    else:
        resized = F.interpolate(picture, size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    made = torch.ones(1, 3, side, side)
    top, left = (side - size[0]) // 2, (side - size[1]) // 2
    made[:, :, top : top + size[0], left : left + size[1]] = resized
    return made


def grid(cells: Sequence[Tensor], count: int | None = None, side: int = SIDE) -> Tensor:
    """Pictures (1, C, h, w) of any sizes as one square panel (1, 3, side, side), with room for `count` of them."""
    columns = ceil(sqrt(max(count or len(cells), 1)))
    cell = (side - (columns - 1) * _GAP) // columns
    made = torch.ones(1, 3, side, side)
    for i, picture in enumerate(cells):
        top, left = (i // columns) * (cell + _GAP), (i % columns) * (cell + _GAP)
        made[:, :, top : top + cell, left : left + cell] = _fit(picture.expand(-1, 3, -1, -1), cell)
    return made


def shown_pattern(pattern: Tensor) -> Tensor:
    """A signed projection (1, C, h, w) around middle grey, in [0, 1]; its strongest hundredth is at full contrast."""
    cell = SIDE // 3
    if max(pattern.shape[2:]) > cell:
        # Reduced first: fine strokes of both signs cancel, and what is left should still have all of the contrast.
        size = [max(1, round(side * cell / max(pattern.shape[2:]))) for side in pattern.shape[2:]]
        pattern = F.interpolate(pattern, size, mode="area")
    strength = pattern.abs().flatten()
    scale = torch.quantile(strength[strength > 0], 0.99) if bool((strength > 0).any()) else torch.tensor(1.0)
    return (0.5 + 0.5 * pattern / scale).clamp(0, 1)


def marked(picture: Tensor, where: Place | None) -> Tensor:
    """The picture, paler outside of `where`, with a line around it."""
    picture = picture.expand(-1, 3, -1, -1)
    if where is None:
        return picture
    height, width = picture.shape[2:]
    line = max(1, round(max(height, width) / 75))
    seen = where.inside((height, width))
    made = 0.45 * picture + 0.55
    rows, columns = slice(seen.top, seen.bottom + 1), slice(seen.left, seen.right + 1)
    made[:, :, rows, columns] = torch.tensor(_MARK).view(1, 3, 1, 1)
    rows, columns = slice(seen.top + line, seen.bottom + 1 - line), slice(seen.left + line, seen.right + 1 - line)
    made[:, :, rows, columns] = picture[:, :, rows, columns]
    return made


def patch_of(one: "Found") -> Tensor:
    """What the picture has at a place, with what counts of it marked, or the picture's edge."""
    return _edged(one) if one.border else marked(one.patch, one.effective)


def _edged(one: "Found") -> Tensor:
    """A patch at the border, with a line where the picture ends: beyond it there is nothing to show."""
    patch = one.patch.expand(-1, 3, -1, -1).clone()
    assert one.place is not None
    seen, line = one.place.inside(one.size), max(1, round(max(one.place.size) / 40))
    color = torch.tensor(_MARK).view(1, 3, 1, 1)
    top, left = seen.top - one.place.top, seen.left - one.place.left
    bottom, right = seen.bottom - one.place.top, seen.right - one.place.left
    if top > 0:
        patch[:, :, max(0, top - line) : top] = color
    if bottom < one.place.size[0] - 1:
        patch[:, :, bottom + 1 : bottom + 1 + line] = color
    if left > 0:
        patch[:, :, :, max(0, left - line) : left] = color
    if right < one.place.size[1] - 1:
        patch[:, :, :, right + 1 : right + 1 + line] = color
    return patch


def unit_panels(one: "UnitPatterns", whole: "Patterns") -> tuple[list[Tensor], list[str], str]:
    """Panels, captions and title of one unit's row."""
    top, method = whole.top, whole.recipe.projection
    panels: list[Tensor] = []
    captions: list[str] = []
    if whole.recipe.steps:
        if one.unit in whole.made:
            result, i = whole.made[one.unit]
            panels.append(_fit(result.pictures[i : i + 1].cpu(), SIDE))
            highest = float(one.scan.highest[one.unit.channel])
            captions.append(
                f"wants, exactly: {result.activation[i]:.2f} at one place"
                if result.exact[i]
                else f"made: mean {result.activation[i]:.2f}; of real pictures at most {highest:.2f}"
            )
        else:
            panels.append(torch.ones(1, 3, SIDE, SIDE))
            captions.append("dead unit: nothing moves it" if one.unit in whole.dead else "not made: stopped before")
    panels += [
        grid([patch_of(found) for found in one.found], top),
        grid([shown_pattern(found.pattern) for found in one.found], top),
        grid([shown_pattern(found.control) for found in one.found], top),
    ]
    values = [found.value for found in one.found if not found.border] or [found.value for found in one.found]
    span = f"{values[0]:.2f} to {values[-1]:.2f}" if values else "none"
    if one.border:
        span += f"; {len(one.border)} at a border, {max(found.value for found in one.border):.2f}"
    captions += [
        f"found: {len(one.found)} places, {span}",
        f"seen there, by {method}",
        f"the same, layers above shuffled: alike {one.alike:.2f}" if one.alike is not None else "",
    ]
    field = next((found.place.size for found in one.found if found.place), None)
    sees = f"sees {field[0]} × {field[1]} px" if field else "sees the whole picture; most within the line"
    return panels, captions, f"{one.unit.title}: {sees}"
