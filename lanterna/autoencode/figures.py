"""Figures in one clean style: strips of pictures, curves, matrices and bars, as pictures (1, 3, H, W)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from lanterna.wording import figure_text

__all__ = ["ACCENT", "COLOURS", "axes", "drawn", "matrix", "residual", "strip"]

INK, SOFT, LINE = "#1c1b19", "#5c5850", "#ddd8cd"
ACCENT = "#b4541a"
COLOURS = (ACCENT, "#2f6f8f", "#6b8e3d", "#8a5a9e", "#c2962b", "#5c5850", "#a03b4f")
_DPI = 110


def axes(width: float = 7.0, height: float = 4.2, columns: int = 1) -> tuple[Figure, list[Any]]:
    """A figure without a window, and its axes."""
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    made = [figure.add_subplot(1, columns, column + 1) for column in range(columns)]
    for one in made:
        for name in ("top", "right"):
            one.spines[name].set_visible(False)
        for name in ("left", "bottom"):
            one.spines[name].set_color(SOFT)
        one.tick_params(colors=SOFT, labelsize=9)
        one.grid(True, color=LINE, linewidth=0.6)
        one.set_axisbelow(True)
    return figure, made


def drawn(figure: Figure) -> Tensor:
    """The figure as a picture (1, 3, H, W)."""
    canvas = figure.canvas
    if not isinstance(canvas, FigureCanvasAgg):
        raise TypeError("a figure of `axes` is drawn by Agg")
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib's own
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]  # likewise
    return torch.from_numpy(pixels).permute(2, 0, 1).float()[None] / 255


def residual(difference: Tensor, times: float = 5.0) -> Tensor:
    """A difference of pictures, enlarged, around middle grey."""
    return (0.5 + 0.5 * times * difference).clamp(0, 1)


def strip(rows: Sequence[tuple[str, Tensor]], *, zoom: int = 2, columns: Sequence[str] = ()) -> Tensor:
    """Rows of pictures (N, C, S, S), each with its title on the left; `columns` are titles above."""
    rows, columns = [(figure_text(title), pictures) for title, pictures in rows], [*map(figure_text, columns)]
    count = max(len(pictures) for _, pictures in rows)
    side = rows[0][1].shape[-1]
    cell = (side * zoom + 4) / _DPI
    # Wide enough for the longest line of a title at this size of letters.
    left = 0.2 + 0.075 * max((len(line) for title, _ in rows for line in title.split("\n")), default=0)
    top = 0.28 if columns else 0.04
    width, height = left + cell * count, top + cell * len(rows)
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    for row, (title, pictures) in enumerate(rows):
        middle = 1 - (top + cell * (row + 0.5)) / height
        figure.text((left - 0.1) / width, middle, title, ha="right", va="center", fontsize=9, color=INK)
        for column, picture in enumerate(pictures):
            place = (
                (left + cell * column) / width,
                1 - (top + cell * (row + 1)) / height,
                side * zoom / _DPI / width,
                side * zoom / _DPI / height,
            )
            one = figure.add_axes(place)
            one.imshow(picture.expand(3, -1, -1).permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
            one.set_axis_off()
    for column, title in enumerate(columns):
        figure.text((left + cell * (column + 0.5)) / width, 1 - 0.22 / height, title, ha="center", fontsize=8, color=SOFT)
    return drawn(figure)


def matrix(values: Tensor, rows: Sequence[str], columns: Sequence[str], *, rows_title: str, columns_title: str) -> Tensor:
    """Numbers as a coloured table: pale is low."""
    figure, (one,) = axes(1.9 + 1.15 * len(columns), 1.3 + 0.55 * len(rows))
    one.grid(False)
    # 1 is the mean picture's error; darker than 1.5 tells no more.
    one.imshow(values.clamp(max=1.5).numpy(), cmap="YlOrBr", vmin=0, vmax=1.5, aspect="auto")
    for i in range(len(rows)):
        for j in range(len(columns)):
            value = float(values[i, j])
            one.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=10, color="white" if value > 0.9 else INK)
    one.set_xticks(range(len(columns)), [*map(figure_text, columns)])
    one.set_yticks(range(len(rows)), [*map(figure_text, rows)])
    one.set_xlabel(columns_title, color=INK)
    one.set_ylabel(rows_title, color=INK)
    return drawn(figure)
