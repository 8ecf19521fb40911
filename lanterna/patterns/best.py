"""The k best places of every unit, whatever the order in which they come."""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Best"]


@dataclass(frozen=True)
class Best:
    """For each of C units, its k highest places: value float32, sample, row and column int64, each (C, k), best first.

    A place that is not there has sample -1 and value -inf. Of equal values the lower sample comes first, then row and column.
    """

    value: Tensor
    sample: Tensor
    row: Tensor
    column: Tensor

    @classmethod
    def empty(cls, units: int, k: int) -> "Best":
        """No place at all."""
        return cls(torch.full((units, k), -torch.inf), *(torch.full((units, k), -1) for _ in range(3)))

    @property
    def k(self) -> int:
        """How many places are held for each unit."""
        return self.value.shape[1]

    def count(self, unit: int) -> int:
        """How many places there are, at most k."""
        return int((self.sample[unit] >= 0).sum())

    def with_places(
        self, unit: Tensor, value: Tensor, sample: Tensor, row: Tensor, column: Tensor, sources: Tensor | None = None
    ) -> "Best":
        """These places, and more: all (M,). With `sources`, the picture of each sample, one place for each picture is kept.

        Exact and free of order: the k best of a whole are the k best of the k bests of its parts.
        """
        if not len(unit):
            return self
        units, k = self.value.shape
        mine = (self.sample >= 0).flatten()
        everyone = torch.arange(units).repeat_interleave(k)[mine]
        found = [
            torch.cat([old.flatten()[mine], new])
            for old, new in zip((self.value, self.sample, self.row, self.column), (value, sample, row, column), strict=True)
        ]
        whose = torch.cat([everyone, unit])
        # Stable sorts, the last key first: unit, then value from high to low, then sample, row and column.
        order = torch.arange(len(whose))
        for key, descending in ((found[3], False), (found[2], False), (found[1], False), (found[0], True), (whose, False)):
            order = order[key[order].argsort(stable=True, descending=descending)]
        whose, found = whose[order], [part[order] for part in found]
        # The picture, not the sample, may come once only: crops overlap, and the same sample may come in both of two halves.
        source = found[1] if sources is None else sources[found[1]]
        first = _first_of_each(whose * (int(source.max()) + 1) + source)
        whose, found = whose[first], [part[first] for part in found]
        starts = torch.searchsorted(whose, torch.arange(units))
        rank = torch.arange(len(whose)) - starts[whose]
        held = rank < k
        made = Best.empty(units, k)
        for target, part in zip((made.value, made.sample, made.row, made.column), found, strict=True):
            target[whose[held], rank[held]] = part[held]
        return made

    def joined(self, other: "Best", sources: Tensor | None = None) -> "Best":
        """The best of both."""
        there = other.sample >= 0
        units = torch.arange(len(other.sample))[:, None].expand_as(other.sample)
        return self.with_places(
            units[there], other.value[there], other.sample[there], other.row[there], other.column[there], sources
        )


def _first_of_each(key: Tensor) -> Tensor:
    """Where each key comes for the first time, in order."""
    order = key.argsort(stable=True)
    new = torch.ones(len(key), dtype=torch.bool)
    new[1:] = key[order][1:] != key[order][:-1]
    return order[new].sort().values
