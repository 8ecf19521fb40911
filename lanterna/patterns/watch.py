"""Looks at the features of one layer as they pass by. What it costs here, every picture of every layer pays."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lanterna.patterns.layer_scan import LayerScan

__all__ = ["Watch"]

_GRID = 49  # positions of a map that variance and activity are taken at
_COLUMNS = 32  # what torch's vectorised maximum takes at a time


def _channels_last(features: Tensor) -> Tensor:
    """(B, H, W, C), without a copy where channels are last in memory; 1 x 1 for what is no map."""
    if features.ndim == 4:
        return features.permute(0, 2, 3, 1).contiguous()
    return features.flatten(2).transpose(1, 2).contiguous()[:, None] if features.ndim > 2 else features[:, None, None]


def _row_peaks(maps: Tensor) -> Tensor:
    """(B, H, C) highest of each row of (B, H, W, C)."""
    batch, height, width, channels = maps.shape
    # Where the channels do not fill the vector registers torch goes through them one by one, at a twentieth of the speed.
    fold = next((fold for fold in (4, 2) if width % fold == 0), 1)
    if channels % _COLUMNS and fold > 1:
        folded = maps.view(batch, height, width // fold, fold * channels).amax(2)
        return folded.view(batch, height, fold, channels).amax(2)
    return maps.amax(2)


@dataclass
class Watch:
    """A layer over one stretch of the data. `flush` gives the scan with all that was seen so far."""

    scan: LayerScan
    sources: Tensor | None
    _threshold: Tensor = field(init=False)
    _places: list[tuple[Tensor, ...]] = field(default_factory=list)
    _rows: list[tuple[Tensor, ...]] = field(default_factory=list)
    _positions: int = 0
    _samples: list[Tensor] = field(default_factory=list)
    _kept: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._threshold = self.scan.best.value[:, -1]

    def see(self, features: Tensor, samples: Tensor, kept: list[tuple[int, int]]) -> None:
        """Features (B, C, ...) of `samples` (B,); `kept` has (place in the batch, sample) of those kept for quantiles."""
        maps = _channels_last(features)
        rows = _row_peaks(maps)
        peaks = rows.amax(1)
        flat = maps.flatten(1, 2)
        means = flat.mean(1)
        step = -(-flat.shape[1] // _GRID)
        # An odd step does not keep to the same columns of maps with even sides.
        grid = (flat[:, :: step + 1 - step % 2] if step > 1 else flat).flatten(0, 1)
        # Sums as products with ones: the matrix product is the fastest way through memory.
        ones = grid.new_ones(1, len(grid))
        self._rows.append((means, (ones @ grid)[0], (ones @ grid.square())[0], (ones @ (grid > 0).to(grid.dtype))[0]))
        self._positions += len(grid)
        self._samples.append(samples)
        if kept:
            places, chosen = (torch.tensor(part) for part in zip(*kept, strict=True))
            at = (chosen * 7919) % flat.shape[1]  # any position, the same each time
            self._kept.append((chosen, torch.stack([means[places], peaks[places], flat[places, at]])))
        # Samples come in order, so an equal value later is behind; only those who enter are looked for in their maps.
        batch, unit = (peaks > self._threshold).nonzero(as_tuple=True)
        if len(batch):
            value = peaks[batch, unit]
            # First the row, then the column in it: going through the whole map again would cost more than all the rest.
            row = (rows[batch, :, unit] == value[:, None]).to(torch.uint8).argmax(1)
            column = (maps[batch, row, :, unit] == value[:, None]).to(torch.uint8).argmax(1)
            self._places.append((unit, value, samples[batch], row, column))

    def flush(self, labels: Tensor | None) -> LayerScan:
        """The scan with what was seen since the last time; `labels` has the class of every sample."""
        if not self._rows:
            return self.scan
        old = self.scan
        means, *sums = (list(part) for part in zip(*self._rows, strict=True))
        mean, samples = torch.cat(means), torch.cat(self._samples)
        total, squares, active = (torch.stack(part).double().sum(0) for part in sums)
        best = old.best
        if self._places:
            unit, value, sample, row, column = (torch.cat(part) for part in zip(*self._places, strict=True))
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
            values = torch.cat([value for _, value in self._kept], 1)
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
        self._threshold = self.scan.best.value[:, -1]
        self._places, self._rows, self._samples, self._kept, self._positions = [], [], [], [], 0
        return self.scan
