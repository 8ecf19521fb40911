"""Looks at the features of a layer as they pass by. What it costs here, every picture of every layer pays."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lanterna.patterns.best import Best
from lanterna.patterns.kernels import Floats, Integers, compiled, enter, look, take
from lanterna.patterns.layer_scan import LayerScan

# Rows and columns, the first and the last of each.
Bounds = tuple[int, int, int, int]

__all__ = ["Batched", "Bounds", "Summary", "Watch"]

_GRID = 16  # positions of a map that variance and activity are taken at


def _channels_last(features: Tensor) -> Floats:
    """(B, H, W, C), without a copy where channels are last in memory; 1 x 1 for what is no map."""
    if features.ndim == 4:
        maps = features.permute(0, 2, 3, 1)
    else:
        maps = features.flatten(2).transpose(1, 2)[:, None] if features.ndim > 2 else features[:, None, None]
    found: Floats = maps.float().contiguous().cpu().numpy()
    return found


@dataclass(frozen=True)
class Batched:
    """What is known of a batch: its `samples`, the pictures they are from (`sources`), their `labels` (-1: none); all (B,).

    `kept` has (place in the batch, sample) of those kept for quantiles.
    """

    samples: Integers
    sources: Integers
    labels: Integers
    kept: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Summary:
    """What is needed of a layer's maps of one batch, so that they are gone through once.

    `maps` (B, H, W, C); `seen`: their highest value times `sign` (C,), its row, and the mean, each (B, C).
    """

    maps: Floats
    sign: Floats
    seen: tuple[Floats, Integers, Floats]

    @classmethod
    def of(cls, features: Tensor, sign: Floats) -> "Summary":
        """Of features (B, C, ...)."""
        maps = _channels_last(features)
        return cls(maps, sign, compiled(look)(maps, sign))


class Watch:
    """A layer over one stretch of the data: `summary` and `see` for each batch, `scan` for all that was seen so far.

    With `affine`, (scale, shift), each (C,), the layer's values are those that are seen times scale, plus shift.
    """

    def __init__(
        self,
        scan: LayerScan,
        affine: tuple[Tensor, Tensor] | None,
        sources: Tensor,
        room: int,
        inside: Bounds | None = None,
    ) -> None:
        """`sources` has the picture of every sample; `room` is how many samples will be kept for quantiles.

        Positions in `inside` see nothing beyond the picture's border; None where no position does, or all see everything.
        """
        units = len(scan.highest)
        scale, shift = affine or (torch.ones(units), torch.zeros(units))
        self._affine = scale.cpu().numpy(), shift.cpu().numpy()
        # Times a negative scale, the lowest is the highest.
        self._sign = np.where(self._affine[0] < 0, np.float32(-1), np.float32(1))
        self._best, self._inside = _places(scan.best, sources), _places(scan.inside, sources)
        self._bounds = inside
        self._sums = np.stack([_own(s) for s in (scan.total, scan.place_total, scan.place_squares, scan.active)])
        self._highest, self._classes = _own(scan.highest), (_own(scan.class_total), _own(scan.class_count))
        self._before = scan
        self._count, self._places = scan.count, scan.places
        # Room for all of them at once: many small arrays among large ones leave holes in memory that nothing fits into.
        self._kept: list[int] = []
        self._values = np.empty((3, room, units), np.float32)

    def summary(self, features: Tensor, last: Summary | None = None) -> Summary:
        """What `see` needs of features (B, C, ...); `last` where it was had from the same values."""
        if last is not None and np.array_equal(last.sign, self._sign):
            return last
        return Summary.of(features, self._sign)

    def see(self, summary: Summary, batch: Batched) -> None:
        """Enter a batch. Samples come in order."""
        maps = summary.maps
        positions = maps.shape[1] * maps.shape[2]
        step = -(-positions // _GRID)
        # An odd step does not keep to the same columns of maps with even sides.
        step += step > 1 and step % 2 == 0
        compiled(take)(maps, summary.seen, self._affine, batch.labels, self._sums, self._highest, *self._classes, step)
        whole = (0, maps.shape[1] - 1, 0, maps.shape[2] - 1)
        for best, bounds in ((self._best, whole), (self._inside, self._bounds)):
            if bounds is not None:
                compiled(enter)(maps, summary.seen, self._affine, batch.samples, batch.sources, best, bounds)
        self._count += len(batch.samples)
        self._places += len(batch.samples) * len(range(0, positions, step))
        for place, sample in batch.kept:
            at = sample * 7919 % positions  # any position, the same each time
            peaks, _, means = summary.seen
            one = maps[place].reshape(positions, -1)[at]
            for values, seen in zip(self._values, (means[place], summary.sign * peaks[place], one), strict=True):
                values[len(self._kept)] = seen * self._affine[0] + self._affine[1]
            self._kept.append(sample)

    @property
    def scan(self) -> LayerScan:
        """The layer's scan with what was seen."""
        total, place_total, place_squares, active = (torch.from_numpy(part.copy()) for part in self._sums)
        best, inside = (Best(*(torch.from_numpy(part.copy()) for part in held[:4])) for held in (self._best, self._inside))
        class_total, class_count = (torch.from_numpy(part.copy()) for part in self._classes)
        kept, kept_values = self._before.kept, self._before.kept_values
        if self._kept:
            kept = torch.cat([kept, torch.tensor(self._kept)])
            kept_values = torch.cat([kept_values, torch.from_numpy(self._values[:, : len(self._kept)])], 1)
        return replace(
            self._before,
            best=best,
            inside=inside,
            count=self._count,
            places=self._places,
            highest=torch.from_numpy(self._highest.copy()),
            total=total,
            place_total=place_total,
            place_squares=place_squares,
            active=active,
            kept=kept,
            kept_values=kept_values,
            class_total=class_total,
            class_count=class_count,
        )


def _places(best: Best, sources: Tensor) -> "tuple[Floats | Integers, ...]":
    """Value, sample, row, column and picture of the places, to be changed; a place that is not there has no picture."""
    pictures = torch.where(best.sample >= 0, sources[best.sample.clamp(min=0)], -1)
    return tuple(_own(part) for part in (best.value, best.sample, best.row, best.column, pictures))


def _own(tensor: Tensor) -> "Floats | Integers":
    """A copy that may be changed."""
    return tensor.contiguous().numpy().copy()
