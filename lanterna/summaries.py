"""Losses that look at a whole picture only through sums over positions: so they can be had tile by tile, exactly.

A `Term` summarises a layer's map into tensors that add up over tiles, and scores the total. The gradient of the score with
respect to the totals is fixed once the totals are known, and each tile can then be gone through backwards on its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

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
    "as_objective",
    "content_term",
    "histogram_term",
    "self_similarity_term",
    "style_term",
]

Distance = Callable[[Moments, Moments], Tensor]


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


def as_objective(terms: Sequence[Term], priors: Sequence[tuple[float, Objective]] = ()) -> Objective:
    """What rises as the weighted sum of the losses, and of `priors`, falls. For one picture."""

    def value(features: Mapping[str, Tensor]) -> Tensor:
        total = sum((term.weight * term(features[term.layer]) for term in terms), start=torch.zeros(()))
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
    return distance / distance.sum(0, keepdim=True).clamp(min=1e-6)


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


@dataclass
class TiledTerms:
    """A source of gradients for `ascend`: the same as of `as_objective`, to rounding, in the memory of a tile.

    Twice through the network: once for the totals, without gradient, once for the gradient. `side` is the side of a tile
    with its halo, in pixels. Raises InputError for terms that need the whole map and for layers without a finite reach.
    """

    terms: Sequence[Term]
    reach: Reach
    side: int
    priors: Sequence[tuple[float, Objective]] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        whole = [term.name for term in self.terms if not term.additive]
        if whole:
            raise InputError(f"{whole[0]} ranks all positions at once, so it can't be had in tiles; make the picture smaller")
        if not self.reach.exact:
            raise InputError("a layer sees the whole picture, so tiles would not be exact; choose layers before it")
        least = sum(self.reach.halo) + self.reach.align
        if self.side < least:
            raise InputError(f"a tile of {self.side} px is too small: the layers see so far that {least} px is the least")

    def _spans(self, length: int) -> list[tuple[int, int, int, int]]:
        """For one axis: (first of the tile's own pixels, end of them, first read, end of what is read)."""
        align, (before, after) = self.reach.align, self.reach.halo
        core = (self.side - before - after) // align * align
        # As even as can be: a thin last tile would be nearly all halo.
        tiles = max(1, ceil(length / core))
        core = ceil(length / tiles / align) * align
        return [
            (start, min(start + core, length), max(start - before, 0), min(start + core + after, length))
            for start in range(0, length, core)
        ]

    def _own(self, layer: str, features: Tensor, top: tuple[int, ...], left: tuple[int, ...], shape: torch.Size) -> tuple[Tensor, Place]:
        """The positions of a layer that belong to the tile, and where in the whole map they lie."""
        stride = self.reach.strides[layer]
        spans = []
        for span, length, side in ((top, shape[2], features.shape[2]), (left, shape[3], features.shape[3])):
            first, skip = span[0] // stride, (span[0] - span[2]) // stride
            # The last tile has what pooling leaves of the rest.
            count = side - skip if span[1] == length else (span[1] - span[0]) // stride
            spans.append((slice(skip, skip + count), slice(first, first + count)))
        (inner_rows, rows), (inner_columns, columns) = spans
        return features[:, :, inner_rows, inner_columns], Place(rows, columns)

    def __call__(
        self,
        pictures: Tensor,
        read: Callable[[Tensor], dict[str, Tensor]],
        objective: Objective,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """The objective's values (1,) and its gradient, of the picture's shape."""
        totals: list[tuple[Tensor, ...]] | None = None
        tiles = [
            (top, left) for top in self._spans(pictures.shape[2]) for left in self._spans(pictures.shape[3])
        ]
        with torch.no_grad():
            for top, left in tiles:
                features = read(pictures[:, :, top[2] : top[3], left[2] : left[3]].detach())
                found = [
                    term.summarise(*self._own(term.layer, features[term.layer], top, left, pictures.shape))
                    for term in self.terms
                ]
                totals = (
                    found
                    if totals is None
                    else [
                        tuple(a + b for a, b in zip(old, new, strict=True))
                        for old, new in zip(totals, found, strict=True)
                    ]
                )
        leaves = [tuple(part.detach().requires_grad_() for part in parts) for parts in totals or []]
        loss = sum((term.weight * term.score(parts) for term, parts in zip(self.terms, leaves, strict=True)), start=torch.zeros(()))
        flat = [part for parts in leaves for part in parts]
        slopes = torch.autograd.grad(loss, flat, allow_unused=True) if flat and loss.requires_grad else [None] * len(flat)
        gradient = torch.zeros_like(pictures)
        for top, left in tiles:
            tile = pictures[:, :, top[2] : top[3], left[2] : left[3]].detach().requires_grad_()
            features = read(tile)
            parts = [
                part
                for term in self.terms
                for part in term.summarise(*self._own(term.layer, features[term.layer], top, left, pictures.shape))
            ]
            used = [(part, slope) for part, slope in zip(parts, slopes, strict=True) if slope is not None and part.requires_grad]
            if used:
                (found_slope,) = torch.autograd.grad([part for part, _ in used], tile, [slope for _, slope in used])
                gradient[:, :, top[2] : top[3], left[2] : left[3]] += found_slope
            del features, parts, used
        lost = loss.detach().reshape(1)
        for weight, prior in self.priors:
            given = pictures.detach().requires_grad_()
            value = weight * prior({PICTURE: given})
            gradient += torch.autograd.grad(value.sum(), given)[0]
            lost = lost + value.detach()
        return -lost, gradient.neg_()
