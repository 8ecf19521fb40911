"""Looks at the features of a layer as they pass by. What it costs here, every picture of every layer pays."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lanterna.patterns.layer_scan import LayerScan

__all__ = ["Summary", "Watch"]

_GRID = 16  # positions of a map that variance and activity are taken at
_COLUMNS = 32  # what torch's vectorised maximum takes at a time


def _channels_last(features: Tensor) -> Tensor:
    """(B, H, W, C), without a copy where channels are last in memory; 1 x 1 for what is no map."""
    if features.ndim == 4:
        return features.permute(0, 2, 3, 1).contiguous()
    return features.flatten(2).transpose(1, 2).contiguous()[:, None] if features.ndim > 2 else features[:, None, None]


def _row_peaks(maps: Tensor, of: Callable[[Tensor, int], Tensor] = torch.amax) -> Tensor:
    """(B, H, C) highest of each row of (B, H, W, C), or what else `of` finds."""
    batch, height, width, channels = maps.shape
    # Where the channels do not fill the vector registers torch goes through them one by one, at a twentieth of the speed.
    fold = next((fold for fold in (4, 2) if width % fold == 0), 1)
    if channels % _COLUMNS and fold > 1:
        folded = of(maps.view(batch, height, width // fold, fold * channels), 2)
        return of(folded.view(batch, height, fold, channels), 2)
    return of(maps, 2)


@dataclass(frozen=True)
class Summary:
    """What is needed of a layer's maps of one batch, so that they are gone through as seldom as possible.

    `maps` (B, H, W, C); `rows` (B, H, C), the highest of each row; `means` (B, C); `grid` (P, C), some of the positions.
    """

    maps: Tensor
    rows: Tensor
    means: Tensor
    grid: Tensor

    @classmethod
    def of(cls, features: Tensor, rows: Tensor | None = None) -> "Summary":
        """Of features (B, C, ...); `rows` where they are known, which saves a pass."""
        maps = _channels_last(features)
        flat = maps.flatten(1, 2)
        step = -(-flat.shape[1] // _GRID)
        # An odd step does not keep to the same columns of maps with even sides.
        grid = (flat[:, :: step + 1 - step % 2] if step > 1 else flat).flatten(0, 1)
        return cls(maps, _row_peaks(maps) if rows is None else rows, flat.mean(1), grid)


@dataclass
class Watch:
    """A layer over one stretch of the data. `flush` gives the scan with all that was seen so far.

    With `affine`, (scale, shift), each (C,), the layer's values are those that are seen times scale, plus shift. As little as
    possible is computed for each batch, and the rest for many at once.
    """

    scan: LayerScan
    sources: Tensor | None
    affine: tuple[Tensor, Tensor] | None = None
    _threshold: Tensor = field(init=False)
    _turned: Tensor | None = field(init=False)
    _places: list[tuple[Tensor, ...]] = field(default_factory=list)
    _means: list[Tensor] = field(default_factory=list)
    _sums: list[Tensor] = field(default_factory=list)
    _positions: int = 0
    _samples: list[Tensor] = field(default_factory=list)
    _kept: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        turned = (self.affine[0] < 0).nonzero()[:, 0] if self.affine else torch.zeros(0)
        self._turned = turned if len(turned) else None
        self._raise_threshold()

    def _raise_threshold(self) -> None:
        """Set what a peak must exceed to be among the best, as it is seen."""
        lowest = self.scan.best.value[:, -1]
        if self.affine is not None:
            scale, shift = self.affine
            # Turned round where the scale is, so that one comparison serves all.
            lowest = (lowest - shift) / scale.abs()
            # Rounding may not keep anyone out; who gets in without reason is sorted out later.
            lowest = lowest - 1e-5 * (lowest.abs() + (shift / scale).abs()).where(lowest.isfinite(), 0.0)
        self._threshold = lowest

    def _own(self, values: Tensor) -> Tensor:
        """What is seen, (..., C), as the layer's values."""
        return values if self.affine is None else torch.addcmul(self.affine[1], values, self.affine[0])

    def see(self, seen: Summary, samples: Tensor, kept: list[tuple[int, int]]) -> None:
        """A batch of `samples` (B,); `kept` has (place in the batch, sample) of those kept for quantiles."""
        rows, highest = seen.rows, seen.rows.amax(1)
        signed = highest
        if self._turned is not None:
            # Times a negative scale, the lowest is the highest.
            # All of them: to pick channels out of the maps first would take forty times as long.
            lowest = _row_peaks(seen.maps, torch.amin)[..., self._turned]
            rows = rows.index_copy(2, self._turned, lowest)
            highest = highest.index_copy(1, self._turned, lowest.amin(1))
            signed = highest.index_copy(1, self._turned, -lowest.amin(1))
        self._means.append(seen.means)
        grid = self._own(seen.grid)
        self._positions += len(grid)
        # Sums as products with ones: the matrix product is the fastest way through memory.
        ones = grid.new_ones(1, len(grid))
        self._sums.append(torch.cat([ones @ grid, ones @ grid.square(), ones @ (grid > 0).to(grid.dtype)]))
        self._samples.append(samples)
        if kept:
            flat = seen.maps.flatten(1, 2)
            places, chosen = (torch.tensor(part) for part in zip(*kept, strict=True))
            at = (chosen * 7919) % flat.shape[1]  # any position, the same each time
            self._kept.append((chosen, torch.stack([seen.means[places], highest[places], flat[places, at]])))
        # Samples come in order, so an equal value later is behind; only those who enter are looked for in their maps.
        batch, unit = (signed > self._threshold).nonzero(as_tuple=True)
        if len(batch):
            value = highest[batch, unit]
            # First the row, then the column in it: going through the whole map again would cost more than all the rest.
            row = (rows[batch, :, unit] == value[:, None]).to(torch.uint8).argmax(1)
            column = (seen.maps[batch, row, :, unit] == value[:, None]).to(torch.uint8).argmax(1)
            self._places.append((unit, value, samples[batch], row, column))

    def flush(self, labels: Tensor | None) -> LayerScan:
        """The scan with what was seen since the last time; `labels` has the class of every sample."""
        if not self._means:
            return self.scan
        old, samples = self.scan, torch.cat(self._samples)
        mean = self._own(torch.cat(self._means))
        total, squares, active = torch.stack(self._sums).double().sum(0)
        best = old.best
        if self._places:
            unit, value, sample, row, column = (torch.cat(part) for part in zip(*self._places, strict=True))
            if self.affine is not None:
                value = torch.addcmul(self.affine[1][unit], value, self.affine[0][unit])
            if self.sources is None:
                best = best.followed_by(unit, value, sample, row, column)
            else:
                best = best.with_places(unit, value, sample, row, column, self.sources)
        self.scan = replace(
            old,
            best=best,
            count=old.count + len(samples),
            places=old.places + self._positions,
            highest=torch.maximum(old.highest, mean.amax(0)),
            total=old.total + mean.double().sum(0),
            place_total=old.place_total + total,
            place_squares=old.place_squares + squares,
            active=old.active + active,
        )
        if self._kept:
            kept = torch.cat([chosen for chosen, _ in self._kept])
            values = self._own(torch.cat([value for _, value in self._kept], 1))
            self.scan = replace(
                self.scan,
                kept=torch.cat([self.scan.kept, kept]),
                kept_values=torch.cat([self.scan.kept_values, values], 1),
            )
        if labels is not None and len(old.class_count):
            classes = labels[samples]
            known = classes >= 0
            self.scan = replace(
                self.scan,
                class_total=old.class_total.index_add(0, classes[known], mean[known].double()),
                class_count=old.class_count.index_add(0, classes[known], torch.ones(int(known.sum()), dtype=torch.int64)),
            )
        self._raise_threshold()
        self._places, self._means, self._sums, self._samples, self._kept, self._positions = [], [], [], [], [], 0
        return self.scan
