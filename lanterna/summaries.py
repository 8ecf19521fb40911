"""Losses that look at a whole picture only through sums over positions: so they can be had tile by tile, exactly.

A `Term` summarises a layer's map into tensors that add up over tiles, and scores the total. The gradient of the score with
respect to the totals is fixed once the totals are known, and each tile can then be gone through backwards on its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lanterna.errors import InputError
from lanterna.histograms import histogram_distance
from lanterna.moments import Gaussian, Moments, as_rows, wasserstein_distance
from lanterna.objectives import PICTURE, Objective
from lanterna.tiles import Reach

__all__ = [
    "Place",
    "Term",
    "TiledTerms",
    "Tiling",
    "as_objective",
    "content_term",
    "histogram_term",
    "in_passing",
    "self_similarity_term",
    "style_term",
]

Distance = Callable[[Moments, Moments], Tensor]
Read = Callable[[Tensor], dict[str, Tensor]]


class Span(NamedTuple):
    """One axis of a tile in pixels: its own from `start` to `stop`, and what is read for it from `read` to `end`."""

    start: int
    stop: int
    read: int
    end: int


@dataclass(frozen=True)
class Place:
    """Where a piece of a layer's map lies in the whole map: rows and columns, from and to."""

    rows: slice
    columns: slice

    def of(self, whole: Tensor) -> Tensor:
        """The piece of `whole` (..., H, W)."""
        return whole[..., self.rows, self.columns]


EVERYWHERE = Place(slice(None), slice(None))


@dataclass(frozen=True)
class Term:
    """A loss at one layer.

    `summarise` makes of a piece of the map (1, C, h, w), and where it lies, tensors that add up over pieces; `score` makes of
    the totals one number. `additive` is False where the whole map is needed at once.
    """

    layer: str
    summarise: Callable[[Tensor, Place], tuple[Tensor, ...]]
    score: Callable[[tuple[Tensor, ...]], Tensor]
    weight: float = 1.0
    name: str = ""
    additive: bool = True

    def __call__(self, features: Tensor) -> Tensor:
        """The loss of a whole map (1, C, H, W), without its weight."""
        return self.score(self.summarise(features, EVERYWHERE))


def in_passing(terms: Sequence[Term]) -> dict[str, Callable[[Tensor], list[tuple[Tensor, ...]]]]:
    """By layer, what makes of its map (1, C, H, W) the totals of its terms, in their order; for `ascend`."""
    layers: dict[str, list[Term]] = {}
    for term in terms:
        layers.setdefault(term.layer, []).append(term)
    return {
        layer: lambda features, mine=mine: [term.summarise(features, EVERYWHERE) for term in mine]  # type: ignore[misc]
        for layer, mine in layers.items()
    }


def as_objective(terms: Sequence[Term], priors: Sequence[tuple[float, Objective]] = ()) -> Objective:
    """What rises as the weighted sum of the losses, and of `priors`, falls. For one picture, of totals had `in_passing`."""

    def value(features: Mapping[str, Any]) -> Tensor:
        totals = {layer: iter(features[layer]) for layer in {term.layer for term in terms}}
        total = sum((term.weight * term.score(next(totals[term.layer])) for term in terms), start=torch.zeros(()))
        lost = total.reshape(1)
        for weight, prior in priors:
            lost = lost + weight * prior(features)
        return -lost

    layers = frozenset(term.layer for term in terms).union(*(prior.layers for _, prior in priors))
    return Objective(value, layers, " + ".join(term.name for term in terms) or "nothing")


def style_term(
    layer: str, target: Moments, distance: Distance, *, weight: float = 1.0, guide: Tensor | None = None, name: str = ""
) -> Term:
    """The distance of a layer's moments to `target`; `guide` (H, W), of the map's size, says where and how much.

    A guide is normalised by its own sum, so a small region weighs as much as a large one (Gatys et al. 2017).
    """
    goal = Gaussian(target) if distance is wasserstein_distance else target

    def summarise(features: Tensor, place: Place) -> tuple[Tensor, ...]:
        found = Moments.of(features, None if guide is None else place.of(guide))
        return found.count, found.first, found.second

    def score(totals: tuple[Tensor, ...]) -> Tensor:
        return distance(Moments(*totals), goal)  # type: ignore[arg-type]  # the Gaussian is a target made ready

    return Term(layer, summarise, score, weight, name or f"style({layer})")


def content_term(layer: str, target: Tensor, *, weight: float = 1.0, relative: bool = True) -> Term:
    """The squared distance to the features `target` (1, C, H, W) of the content.

    Relative to their variance, 1 for a picture that has nothing of the content; otherwise the mean over all values.
    """
    flat = target.detach()
    scale = (flat - flat.mean((2, 3), keepdim=True)).square().sum() if relative else flat.new_tensor(float(flat.numel()))
    scale = scale.clamp(min=1e-12)

    def summarise(features: Tensor, place: Place) -> tuple[Tensor, ...]:
        return ((features - place.of(flat)).square().sum(),)

    return Term(layer, summarise, lambda totals: totals[0] / scale, weight, f"content({layer})")


def histogram_term(layer: str, target: Tensor, *, weight: float = 1.0) -> Term:
    """The distance of the histograms to those of `target`, rows (N, C). It ranks all positions: not to be had in tiles."""
    return Term(
        layer,
        lambda features, _place: (as_rows(features),),
        lambda totals: histogram_distance(totals[0], target),
        weight,
        f"histogram({layer})",
        additive=False,
    )


def _pairwise(rows: Tensor) -> Tensor:
    """Cosine distance between all rows, each column summing to 1."""
    unit = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-6)
    distance = (1 - unit @ unit.T).clamp(min=0)
    normalised: Tensor = distance / distance.sum(0, keepdim=True).clamp(min=1e-6)
    return normalised


def self_similarity_term(layer: str, target: Tensor, *, weight: float = 1.0, positions: int = 1024) -> Term:
    """Which positions are alike, as in the content `target` (1, C, H, W), whatever they look like.

    Kolkin, Salavon and Shakhnarovich, "Style Transfer by Relaxed Optimal Transport and Self-Similarity", CVPR 2019. On an
    even grid of at most `positions`. 1 is about what two unrelated pictures have.
    """
    height, width = target.shape[2:]
    every = max(1, ceil((height * width / positions) ** 0.5))
    rows, columns = torch.arange(every // 2, height, every), torch.arange(every // 2, width, every)
    goal = _pairwise(as_rows(target[:, :, rows][:, :, :, columns]))
    mean = goal.mean()
    spread = (goal - mean).abs().mean().clamp(min=1e-12)

    def inside(lines: Tensor, span: slice, length: int) -> tuple[Tensor, Tensor]:
        start, stop, _ = span.indices(length)
        chosen = ((lines >= start) & (lines < stop)).nonzero()[:, 0]
        return chosen, lines[chosen] - start

    def summarise(features: Tensor, place: Place) -> tuple[Tensor, ...]:
        at_rows, in_rows = inside(rows, place.rows, height)
        at_columns, in_columns = inside(columns, place.columns, width)
        found = features[0][:, in_rows][:, :, in_columns].permute(1, 2, 0)
        whole = features.new_zeros(len(rows), len(columns), features.shape[1])
        placed = whole.index_put((at_rows[:, None], at_columns[None, :]), found)
        return (placed.reshape(-1, features.shape[1]),)

    def score(totals: tuple[Tensor, ...]) -> Tensor:
        return (_pairwise(totals[0]) - goal).abs().mean() / spread

    return Term(layer, summarise, score, weight, f"self_similarity({layer})")


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut into tiles with halos, for layers of the given `reach`.

    `side` is that of a tile with its halo, in pixels. Raises InputError for layers without a finite reach.
    """

    reach: Reach
    side: int

    def __post_init__(self) -> None:
        if not self.reach.exact:
            raise InputError("a layer sees the whole picture, so tiles would not be exact; choose layers before it")
        least = sum(self.reach.halo) + self.reach.align
        if self.side < least:
            raise InputError(f"a tile of {self.side} px is too small: the layers see so far that {least} px is the least")

    def _spans(self, length: int) -> list[Span]:
        align, (before, after) = self.reach.align, self.reach.halo
        core = (self.side - before - after) // align * align
        # As even as can be: a thin last tile would be nearly all halo.
        core = ceil(length / ceil(length / core) / align) * align
        return [
            Span(start, min(start + core, length), max(start - before, 0), min(start + core + after, length))
            for start in range(0, length, core)
        ]

    def tiles(self, size: tuple[int, int]) -> list[tuple[Span, Span]]:
        """The tiles of a picture of `size` (height, width): rows and columns of each."""
        return [(rows, columns) for rows in self._spans(size[0]) for columns in self._spans(size[1])]

    def own(self, layer: str, features: Tensor, tile: tuple[Span, Span], size: tuple[int, int]) -> tuple[Tensor, Place]:
        """The positions of a layer that belong to the tile and to no other, and where in the whole map they lie."""
        stride = self.reach.strides[layer]
        slices = []
        for span, length, side in zip(tile, size, features.shape[2:], strict=True):
            first, skip = span.start // stride, (span.start - span.read) // stride
            # The last tile has what pooling leaves of the rest.
            count = side - skip if span.stop == length else (span.stop - span.start) // stride
            slices.append((slice(skip, skip + count), slice(first, first + count)))
        (inner_rows, rows), (inner_columns, columns) = slices
        return features[:, :, inner_rows, inner_columns], Place(rows, columns)

    def pieces(self, read: Read, picture: Tensor) -> Iterator[dict[str, tuple[Tensor, Place]]]:
        """For each tile of `picture` (1, C, H, W), without gradient: each layer's own positions, and where they lie."""
        size = (picture.shape[2], picture.shape[3])
        for tile in self.tiles(size):
            with torch.no_grad():
                features = read(cut(picture, tile))
                yield {layer: self.own(layer, found, tile, size) for layer, found in features.items()}


def cut(picture: Tensor, tile: tuple[Span, Span]) -> Tensor:
    """What of the picture is read for a tile."""
    rows, columns = tile
    return picture[:, :, rows.read : rows.end, columns.read : columns.end].detach()


class TiledTerms:
    """A source of gradients for `ascend`: the same as of `as_objective`, to rounding, in the memory of a tile.

    Twice through the network: once for the totals, without gradient, once for the gradient. Raises InputError for terms
    that need the whole map.
    """

    def __init__(self, terms: Sequence[Term], tiling: Tiling, priors: Sequence[tuple[float, Objective]] = ()) -> None:
        whole = [term.name for term in terms if not term.additive]
        if whole:
            raise InputError(f"{whole[0]} ranks all positions at once, so it can't be had in tiles; make the picture smaller")
        self._terms, self._tiling, self._priors = terms, tiling, priors

    def _score(self, totals: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, list[Tensor | None]]:
        """The loss, and its gradient with respect to each part of each total."""
        leaves = [tuple(part.detach().requires_grad_() for part in parts) for parts in totals]
        loss = sum(
            (term.weight * term.score(parts) for term, parts in zip(self._terms, leaves, strict=True)), start=torch.zeros(())
        )
        flat = [part for parts in leaves for part in parts]
        if not flat:
            return loss.detach(), []
        return loss.detach(), list(torch.autograd.grad(loss, flat, allow_unused=True))

    def __call__(
        self, pictures: Tensor, read: Read, _objective: Objective, _generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The objective's values (1,) and its gradient, of the picture's shape."""
        totals: list[tuple[Tensor, ...]] = []
        for piece in self._tiling.pieces(read, pictures):
            found = [term.summarise(*piece[term.layer]) for term in self._terms]
            totals = [tuple(map(torch.add, old, new)) for old, new in zip(totals, found, strict=True)] if totals else found
        loss, slopes = self._score(totals)
        gradient = torch.zeros_like(pictures)
        size = (pictures.shape[2], pictures.shape[3])
        for tile in self._tiling.tiles(size) if self._terms else []:
            given = cut(pictures, tile).requires_grad_()
            features = read(given)
            parts = [
                part
                for term in self._terms
                for part in term.summarise(*self._tiling.own(term.layer, features[term.layer], tile, size))
            ]
            used = [(p, s) for p, s in zip(parts, slopes, strict=True) if s is not None and p.requires_grad]
            if used:
                (slope,) = torch.autograd.grad([p for p, _ in used], given, [s for _, s in used])
                rows, columns = tile
                gradient[:, :, rows.read : rows.end, columns.read : columns.end] += slope
            # Before the next tile's maps come, not after.
            del features, parts, used
        lost = loss.reshape(1)
        for weight, prior in self._priors:
            given = pictures.detach().requires_grad_()
            value = weight * prior({PICTURE: given})
            gradient += torch.autograd.grad(value.sum(), given)[0]
            lost = lost + value.detach()
        return -lost, gradient.neg_()
