"""Looks at the features of one layer as they pass by. What it costs here, every picture of every layer pays."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lanterna.patterns.layer_scan import LayerScan

__all__ = ["Watch"]

_GRID = 196  # positions of a map that variance and activity are taken at
_COLUMNS = 32  # what torch's vectorised maximum takes at a time


def _by_position(features: Tensor) -> Tensor:
    """(B, positions, C), without a copy where channels are last in memory."""
    if features.ndim == 4:
        return features.permute(0, 2, 3, 1).reshape(len(features), -1, features.shape[1])
    return features.flatten(2).transpose(1, 2) if features.ndim > 2 else features[:, None]


def _peaks(maps: Tensor) -> Tensor:
    """(B, C) highest over the positions of (B, positions, C)."""
    batch, positions, channels = maps.shape
    # Where the channels do not fill the vector registers torch goes through them one by one, at a twentieth of the speed.
    if channels % _COLUMNS and positions % 4 == 0 and maps.is_contiguous():
        return maps.view(batch, positions // 4, 4 * channels).amax(1).view(batch, 4, channels).amax(1)
    return maps.amax(1)


@dataclass
class Watch:
    """A layer over one stretch of the data. `flush` gives the scan with all that was seen so far."""

    scan: LayerScan
    sources: Tensor | None
    _threshold: Tensor = field(init=False)
    _places: list[tuple[Tensor, ...]] = field(default_factory=list)
    _rows: list[tuple[Tensor, ...]] = field(default_factory=list)
    _samples: list[Tensor] = field(default_factory=list)
    _kept: list[tuple[int, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._threshold = self.scan.best.value[:, -1]

    def see(self, features: Tensor, samples: Tensor, kept: list[tuple[int, int]]) -> None:
        """Features (B, C, ...) of `samples` (B,); `kept` has (place in the batch, sample) of those kept for quantiles."""
        width = features.shape[3] if features.ndim == 4 else 1
        maps = _by_position(features)
        peaks, means = _peaks(maps), maps.mean(1)
        step = -(-maps.shape[1] // _GRID)
        # An odd step does not keep to the same columns of maps with even sides.
        grid = maps[:, :: step + 1 - step % 2] if step > 1 else maps
        sums = grid.sum((0, 1), dtype=torch.float32)
        squares = torch.einsum("bpc,bpc->c", grid, grid)
        self._rows.append((means, sums, squares, (grid > 0).sum((0, 1)), torch.tensor(grid.shape[0] * grid.shape[1])))
        self._samples.append(samples)
        for place, sample in kept:
            at = (sample * 7919) % grid.shape[1]  # any position, the same each time
            self._kept.append((sample, torch.stack([means[place], peaks[place], grid[place, at]])))
        # Samples come in order, so an equal value later is behind; only those who enter are looked for in their maps.
        batch, unit = (peaks > self._threshold).nonzero(as_tuple=True)
        if len(batch):
            value = peaks[batch, unit]
            where = (maps[batch, :, unit] == value[:, None]).to(torch.uint8).argmax(1)
            self._places.append((unit, value, samples[batch], where // width, where % width))

    def flush(self, labels: Tensor | None) -> LayerScan:
        """The scan with what was seen since the last time; `labels` has the class of every sample."""
        if not self._rows:
            return self.scan
        old = self.scan
        means, *sums = (list(part) for part in zip(*self._rows, strict=True))
        mean, samples = torch.cat(means), torch.cat(self._samples)
        total, squares, active, places = (torch.stack(part).double().sum(0) for part in sums)
        best = old.best
        if self._places:
            unit, value, sample, row, column = (torch.cat(part) for part in zip(*self._places, strict=True))
            best = best.with_places(unit, value, sample, row, column, self.sources)
        self.scan = replace(
            old,
            best=best,
            count=old.count + len(samples),
            places=old.places + int(places),
            highest=torch.maximum(old.highest, mean.amax(0)),
            total=old.total + mean.double().sum(0),
            place_total=old.place_total + total,
            place_squares=old.place_squares + squares,
            active=old.active + active,
        )
        if self._kept:
            kept = torch.tensor([sample for sample, _ in self._kept])
            values = torch.stack([value for _, value in self._kept], 1)
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
        self._places, self._rows, self._samples, self._kept = [], [], [], []
        return self.scan
