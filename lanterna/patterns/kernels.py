"""The inner loops of a scan, compiled: every value of every map is gone through, and torch would go through it three times.

A pass is bound by memory, so that one loop that finds the highest value, its row and the mean at once takes as long as
any of the three. Arrays are NumPy's; maps have their channels last.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Integers", "compiled", "enter", "look", "take"]

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of this module as machine code, kept beside the module or in the user's cache."""
    # Takes half a second to import, which only a scan should pay.
    import numba

    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        # Nowhere to keep what is compiled, such as in a read-only container: a second more in every process.
        return numba.njit(nogil=True)(function)


def look(maps: Floats, sign: Floats) -> tuple[Floats, Integers, Floats]:
    """Of maps (B, H, W, C) times `sign` (C,): highest value, its first row, and the mean; each (B, C)."""
    batch, height, width, channels = maps.shape
    peaks = np.full((batch, channels), -np.inf, np.float32)
    rows = np.zeros((batch, channels), np.int32)
    means = np.empty((batch, channels), np.float32)
    highest, row_total = np.empty(channels, np.float32), np.empty(channels, np.float32)
    total = np.empty(channels, np.float64)
    for b in range(batch):
        total[:] = 0
        for y in range(height):
            # Channel by channel innermost: that is how they lie in memory, and what the compiler makes wide.
            for c in range(channels):
                value = maps[b, y, 0, c] * sign[c]
                highest[c], row_total[c] = value, value
            for x in range(1, width):
                for c in range(channels):
                    value = maps[b, y, x, c] * sign[c]
                    highest[c] = value if value > highest[c] else highest[c]
                    row_total[c] += value
            for c in range(channels):
                total[c] += row_total[c]
                if highest[c] > peaks[b, c]:
                    peaks[b, c], rows[b, c] = highest[c], y
        for c in range(channels):
            means[b, c] = sign[c] * total[c] / (height * width)
    return peaks, rows, means


def take(
    maps: Floats,
    seen: tuple[Floats, Integers, Floats],
    affine: tuple[Floats, Floats],
    labels: Integers,
    sums: Floats,
    highest: Floats,
    class_total: Floats,
    class_count: Integers,
    step: int,
) -> None:
    """Enter what was `seen` of maps (B, H, W, C) by `look` into the sums, which are changed.

    Values are those of the maps times affine[0], plus affine[1], each (C,). `labels` (-1: none) are (B,). `sums` (4, C): of
    means, and over every `step`-th position of values, squares and the number above zero.
    """
    batch, _, width, channels = maps.shape
    positions = maps.shape[1] * width
    _, _, means = seen
    scale, shift = affine
    for b in range(batch):
        label = labels[b]
        if label >= 0:
            class_count[label] += 1
        for c in range(channels):
            mean = means[b, c] * scale[c] + shift[c]
            sums[0, c] += mean
            highest[c] = max(highest[c], mean)
            if label >= 0:
                class_total[label, c] += mean
        for place in range(0, positions, step):
            y, x = place // width, place % width
            for c in range(channels):
                own = maps[b, y, x, c] * scale[c] + shift[c]
                sums[1, c] += own
                sums[2, c] += own * own
                sums[3, c] += own > 0


def enter(
    maps: Floats,
    seen: tuple[Floats, Integers, Floats],
    affine: tuple[Floats, Floats],
    samples: Integers,
    sources: Integers,
    best: tuple[Floats, Integers, Integers, Integers, Integers],
    bounds: tuple[int, int, int, int],
) -> None:
    """Enter the highest place of each map into `best`, of those in rows and columns from `bounds` (first, last, first, last).

    `maps`, `seen` and `affine` are those of `take`. `samples` and their `sources` are (B,); samples come in order, so that of
    equal values the first stays first. `best`, which is changed: value, sample, row, column and source, each (C, k), best
    first; a source has one place. A map whose highest value at all is not high enough is not gone through.
    """
    batch, height, width, channels = maps.shape
    peaks, rows, _ = seen
    scale, shift = affine
    value, sample, row, column, source = best
    top, bottom, left, right = bounds
    whole = top == 0 and left == 0 and bottom == height - 1 and right == width - 1
    k = value.shape[1]
    for b in range(batch):
        for c in range(channels):
            sign = np.float32(-1 if scale[c] < 0 else 1)
            peak = peaks[b, c]
            own = np.float32(sign * peak * scale[c] + shift[c])
            if not own > value[c, k - 1]:
                continue
            y, x = rows[b, c], 0
            if whole:
                while maps[b, y, x, c] * sign != peak:
                    x += 1
            else:
                y, x, peak = top, left, np.float32(-np.inf)
                for i in range(top, bottom + 1):
                    for j in range(left, right + 1):
                        here = maps[b, i, j, c] * sign
                        if here > peak:
                            y, x, peak = i, j, here
                own = np.float32(sign * peak * scale[c] + shift[c])
                if not own > value[c, k - 1]:
                    continue
            # Where the picture has a place already, that one goes, or the new one does not come.
            last = k - 1
            for i in range(k):
                if sample[c, i] >= 0 and source[c, i] == sources[b]:
                    last = i if own > value[c, i] else -1
                    break
            if last < 0:
                continue
            i = last
            while i > 0 and own > value[c, i - 1]:
                value[c, i], sample[c, i], source[c, i] = value[c, i - 1], sample[c, i - 1], source[c, i - 1]
                row[c, i], column[c, i] = row[c, i - 1], column[c, i - 1]
                i -= 1
            value[c, i], sample[c, i], source[c, i] = own, samples[b], sources[b]
            row[c, i], column[c, i] = y, x
