"""What a pass over data leaves of one layer: each unit's best places and statistics, in a size that does not grow."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lanterna.errors import InputError
from lanterna.patterns.best import Best

__all__ = ["KEPT", "LayerScan", "kept_samples", "merge"]

# So many pictures tell a quantile of 1 % with a spread of 0.6 %, and all channels of a large network still fit in memory.
KEPT = 256


def kept_samples(ids: Sequence[str]) -> list[int]:
    """The samples kept for quantiles: all up to 256, else 256 by chance, always the same for the same ids."""
    chance = sorted(range(len(ids)), key=lambda i: hashlib.sha256(ids[i].encode("utf-8", "surrogatepass")).digest())
    return sorted(chance[:KEPT])


@dataclass(frozen=True)
class LayerScan:
    """One layer over `count` pictures; C units.

    `best`: the highest places; `inside`: the highest of those that see nothing beyond the picture's border, none where all
    positions do, or each sees the whole picture. `highest` (C,): the highest mean over a map of any picture. `total` (C,):
    sum of the means over the map. `places`: at how many positions variance and activity were taken, at most 16 a picture,
    evenly spaced; `place_total`, `place_squares` and `active` (C,): sum, sum of squares and number above zero over these.
    `kept`: the samples whose mean, peak and one position's value are in `kept_values` (3, n, C). `class_total`
    (classes, C) and `class_count` (classes,): sums of means, for data with classes, else with no rows.
    """

    best: Best
    inside: Best
    count: int
    places: int
    highest: Tensor
    total: Tensor
    place_total: Tensor
    place_squares: Tensor
    active: Tensor
    kept: Tensor
    kept_values: Tensor
    class_total: Tensor
    class_count: Tensor

    @classmethod
    def empty(cls, units: int, k: int, classes: int) -> "LayerScan":
        """A layer of which nothing was seen yet."""
        sums = [torch.zeros(units, dtype=torch.float64) for _ in range(4)]
        return cls(
            best=Best.empty(units, k),
            inside=Best.empty(units, k),
            count=0,
            places=0,
            highest=torch.full((units,), -torch.inf),
            total=sums[0],
            place_total=sums[1],
            place_squares=sums[2],
            active=sums[3],
            kept=torch.zeros(0, dtype=torch.int64),
            kept_values=torch.zeros(3, 0, units),
            class_total=torch.zeros(classes, units, dtype=torch.float64),
            class_count=torch.zeros(classes, dtype=torch.int64),
        )

    @property
    def mean(self) -> Tensor:
        """(C,) mean over pictures and positions."""
        return self.total / max(self.count, 1)

    @property
    def variance(self) -> Tensor:
        """(C,) variance over pictures and positions."""
        mean = self.place_total / max(self.places, 1)
        return (self.place_squares / max(self.places, 1) - mean**2).clamp(min=0)

    @property
    def share_active(self) -> Tensor:
        """(C,) share of positions above zero."""
        return self.active / max(self.places, 1)

    def quantiles(self, levels: Sequence[float], of: str = "mean") -> Tensor:
        """(levels, C): quantiles over pictures of the map's `mean` or `peak`, or over positions (`place`).

        Exact up to 256 pictures; beyond, of 256 pictures chosen by chance.
        """
        values = self.kept_values[("mean", "peak", "place").index(of)]
        return torch.quantile(values.double(), torch.tensor(levels, dtype=torch.float64), dim=0)

    @property
    def selectivity(self) -> Tensor | None:
        """(C,) (highest class mean - mean of the others) / (their sum), after Morcos et al. 2018; None without two classes.

        0: all classes alike; 1: one class only. Means are taken above the lowest class's where that is negative, as the
        measure is made for activations that are not.
        """
        seen = self.class_count > 0
        if int(seen.sum()) < 2:
            return None
        means = self.class_total[seen] / self.class_count[seen, None]
        means = means - means.amin(0).clamp(max=0)
        highest = means.amax(0)
        others = (means.sum(0) - highest) / (len(means) - 1)
        return (highest - others) / (highest + others + 1e-12)

    def favourite(self, unit: int) -> int | None:
        """The class with the highest mean, by number; None without classes."""
        seen = self.class_count > 0
        if int(seen.sum()) < 2:
            return None
        means = self.class_total[:, unit] / self.class_count.clamp(min=1)
        return int(means.masked_fill(~seen, -torch.inf).argmax())


def merge(one: LayerScan, other: LayerScan, sources: Tensor | None = None) -> LayerScan:
    """What one pass over both parts of the data would have left. The parts may not overlap. Raises InputError."""
    if one.best.value.shape != other.best.value.shape or one.class_total.shape != other.class_total.shape:
        given = f"{tuple(one.best.value.shape)} and {tuple(other.best.value.shape)}"
        raise InputError(f"scans of other units, tops or classes can't be merged: {given} were given")
    kept = torch.cat([one.kept, other.kept])
    order = kept.argsort()
    sums = ("total", "place_total", "place_squares", "active", "class_total", "class_count", "count", "places")
    return replace(
        one,
        best=one.best.joined(other.best, sources),
        inside=one.inside.joined(other.inside, sources),
        highest=torch.maximum(one.highest, other.highest),
        kept=kept[order],
        kept_values=torch.cat([one.kept_values, other.kept_values], 1)[:, order],
        **{name: getattr(one, name) + getattr(other, name) for name in sums},
    )
