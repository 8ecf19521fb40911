"""How far a picture has to be moved until a classifier errs: by gradients, and without them as a check."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from typing import Any, Literal

import torch
from torch import Tensor

from lanterna.attacks import deepfool_l2, projected_gradient_descent_l2, projected_gradient_descent_linf
from lanterna.events import Event, Stepped
from lanterna.manifold.wall import nearest
from lanterna.networks.network import Network

__all__ = ["Norm", "Robustness", "between", "least_distance", "random_search", "robustness", "settled"]

Norm = Literal["l2", "linf"]
Logits = Callable[[Tensor], Tensor]

# How much further a picture is moved where the whole classifier is not fooled yet.
_FARTHER = (1.0, 1.01, 1.02, 1.04, 1.07, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0)


def _size(moved: Tensor, norm: Norm) -> Tensor:
    flat = moved.flatten(1)
    found: Tensor = flat.norm(dim=1) if norm == "l2" else flat.abs().amax(1)
    return found


def _inside(moved: Tensor, size: Tensor, norm: Norm) -> Tensor:
    size = size.view(-1, 1, 1, 1)
    if norm == "linf":
        return torch.minimum(torch.maximum(moved, -size), size)
    length = moved.flatten(1).norm(dim=1).view(-1, 1, 1, 1).clamp(min=1e-12)
    inside: Tensor = moved * (size / length).clamp(max=1)
    return inside


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    """How far the right class is ahead of the best other one; below 0 it is wrong."""
    right = logits.gather(1, labels[:, None])[:, 0]
    return right - logits.scatter(1, labels[:, None], -torch.inf).amax(1)


def least_distance(
    logits: Logits, pictures: Tensor, labels: Tensor, norm: Norm, steps: int, on_step: Callable[[int], None] | None = None
) -> tuple[Tensor, Tensor]:
    """The least distance (B,) at which `pictures` (B, 1, H, W) are taken for another class, infinite where none was found.

    And the pictures moved so far. Pintor et al., "Fast Minimum-norm Adversarial Attacks through Adaptive Norm Constraints",
    2021: the allowed distance shrinks while the picture is wrong and grows while it is right, along with the gradient steps.
    What is wrong already has the distance 0.
    """
    count = len(pictures)
    best = torch.full((count,), torch.inf)
    found = pictures.clone()
    moved = torch.zeros_like(pictures)
    allowed = torch.full((count,), torch.inf)
    for step in range(steps + 1):
        asked = (pictures + moved).requires_grad_()
        margin = _margin(logits(asked), labels)
        (slope,) = torch.autograd.grad(margin.sum(), asked)
        margin, length = margin.detach(), _size(moved, norm)
        wrong = margin < 0
        better = wrong & (length < best)
        best[better], found[better] = length[better], (pictures + moved)[better]
        if step == steps:
            break
        fall = 0.5 * (1 + cos(pi * step / steps))
        shrink, pace = 0.001 + 0.1 * fall, 0.02 + 0.98 * fall
        flat = slope.flatten(1)
        dual = flat.norm(dim=1) if norm == "l2" else flat.abs().sum(1)
        # A little beyond, as DeepFool goes: exactly on the frontier nothing is wrong yet.
        ahead = (length + margin.abs() / dual.clamp(min=1e-12)) * (1.02 + shrink)
        grown = torch.where(torch.isfinite(best), allowed * (1 + shrink), ahead)
        allowed = torch.where(wrong, torch.minimum(allowed * (1 - shrink), best * (1 - shrink)), grown)
        direction = flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-12)
        moved = _inside(moved - pace * direction.view_as(moved), allowed, norm)
        moved = (pictures + moved).clamp(0, 1) - pictures
        if on_step is not None:
            on_step(step + 1)
    return best, found


def between(logits: Logits, pictures: Tensor, labels: Tensor, real: Tensor, real_labels: Tensor) -> Tensor:
    """L2 (B,) to the frontier on the line to the nearest real picture of another class: no gradient is used.

    By bisection. Infinite where the classifier takes that picture for the same class as well.
    """
    ends = torch.empty_like(pictures)
    for label in labels.unique():
        own = labels == label
        others = real[real_labels != label]
        ends[own] = others[nearest(pictures[own], others)[1]]
    low, high = torch.zeros(len(pictures)), torch.ones(len(pictures))
    with torch.no_grad():
        reached = _margin(logits(ends), labels) < 0
        for _ in range(8):
            middle = (low + high) / 2
            wrong = _margin(logits(torch.lerp(pictures, ends, middle.view(-1, 1, 1, 1))), labels) < 0
            low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
    return torch.where(reached, high * (ends - pictures).flatten(1).norm(dim=1), torch.inf)


def random_search(
    logits: Logits,
    pictures: Tensor,
    labels: Tensor,
    size: Tensor,
    norm: Norm,
    steps: int,
    generator: torch.Generator,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Whether random squares, kept where they help, make `pictures` wrong within the distance `size` (B,): (B,) of bool.

    After Andriushchenko et al., "Square Attack: a query-efficient black-box adversarial attack via random search", 2020. No
    gradient is used: where it succeeds at distances at which the gradient fails, the gradient was masked.
    """
    count, _, height, width = pictures.shape
    wide = size.view(-1, 1, 1, 1)
    stripes = torch.randint(0, 2, (count, 1, 1, width), generator=generator) * 2.0 - 1.0
    moved = _inside(wide * stripes.expand_as(pictures), size, norm)
    moved = (pictures + moved).clamp(0, 1) - pictures
    with torch.no_grad():
        margin = torch.minimum(_margin(logits(pictures), labels), start := _margin(logits(pictures + moved), labels))
        moved = torch.where((start <= margin).view(-1, 1, 1, 1), moved, torch.zeros_like(moved))
        for step in range(steps):
            side = max(2, round(height * 0.5 * (1 - step / steps)))
            draw = torch.rand(count, 3, generator=generator)
            tried = moved.clone()
            for place in range(count):
                top, left = int(draw[place, 0] * (height - side + 1)), int(draw[place, 1] * (width - side + 1))
                sign = 1.0 if draw[place, 2] < 0.5 else -1.0
                patch = tried[place, :, top : top + side, left : left + side]
                if norm == "linf":
                    patch.fill_(sign * float(size[place]))
                else:
                    patch.add_(sign * float(size[place]) / side)
            tried = (pictures + _inside(tried, size, norm)).clamp(0, 1) - pictures
            value = _margin(logits(pictures + tried), labels)
            better = (value < margin) & (margin >= 0)
            moved = torch.where(better.view(-1, 1, 1, 1), tried, moved)
            margin = torch.where(better, value, margin)
            if on_step is not None:
                on_step(step + 1)
    return margin < 0


def settled(logits: Logits, pictures: Tensor, labels: Tensor, moved: Tensor, norm: Norm) -> tuple[Tensor, Tensor, Tensor]:
    """Distances and pictures where `logits` err, at `moved` or as little beyond as is needed, and which erred at `moved`."""
    best, found = torch.full((len(pictures),), torch.inf), moved.clone()
    holds = torch.zeros(len(pictures), dtype=torch.bool)
    with torch.no_grad():
        for factor in _FARTHER:
            tried = (pictures + factor * (moved - pictures)).clamp(0, 1)
            wrong = _margin(logits(tried), labels) < 0
            holds |= wrong if factor == 1 else torch.zeros_like(wrong)
            better = wrong & torch.isinf(best)
            best[better], found[better] = _size(tried - pictures, norm)[better], tried[better]
    return best, found, holds


@dataclass(frozen=True)
class Robustness:
    """One classifier's: least distances (B,) by gradients, pictures moved so far, and what searches without gradients found.

    `holds` says which pictures fooled the whole classifier, all steps of its codes included, without being moved further;
    `descended` which ones projected gradient descent fools at the median distance: about half, where that is the least.
    """

    distance: dict[Norm, Tensor]
    moved: dict[Norm, Tensor]
    holds: dict[Norm, Tensor]
    descended: dict[Norm, Tensor]
    line: Tensor
    search_nearer: dict[Norm, Tensor]
    search_farther: dict[Norm, Tensor]

    def numbers(self) -> dict[str, Any]:
        """Medians, and how often a search without gradients was better than they were."""
        told: dict[str, Any] = {
            "count": len(self.line),
            "line_l2_median": float(self.line.median()),
            "line_nearer_share": float((self.line < self.distance["l2"]).float().mean()),
        }
        shares = {
            "holds": self.holds,
            "pgd_at_median": self.descended,
            "search_nearer": self.search_nearer,
            "search_farther": self.search_farther,
        }
        for norm, distance in self.distance.items():
            told[f"{norm}_median"] = float(distance.median())
            told[f"{norm}_found_share"] = float(torch.isfinite(distance).float().mean())
            for name, values in shares.items():
                told[f"{norm}_{name}_share"] = float(values[norm].float().mean())
        return told


def robustness(
    network: Network,
    final: Logits,
    pictures: Tensor,
    labels: Tensor,
    real: tuple[Tensor, Tensor],
    steps: int,
    queries: int,
    generator: torch.Generator,
    on_step: Callable[[int], None] | None = None,
) -> Robustness:
    """Least distances in L2 and Linf of `pictures`, and the same without gradients.

    Of each picture counts the nearest that any attack finds: fast minimum norm, DeepFool (L2), and projected gradient descent
    at the median of the others. The check is on the line to a `real` picture of another class, and by random search within
    0.9 and 2 times the distance that gradients found. `network` is attacked; `final`, which may take longer, decides: where
    it is not fooled by what was found, the picture is moved further in the same direction until it is.
    """
    found: dict[str, dict[Norm, Tensor]] = {
        key: {} for key in ("distance", "moved", "holds", "descended", "nearer", "farther")
    }

    def heard(event: Event) -> None:
        if on_step is not None and isinstance(event, Stepped):
            on_step(event.step)

    norms: tuple[Norm, ...] = ("l2", "linf")
    for norm in norms:
        tried = [least_distance(network.logits, pictures, labels, norm, steps, on_step)[1]]
        if norm == "l2":
            tried.append(deepfool_l2(network, pictures, labels, on_event=heard).pictures)
        best, moved, holds = _nearest_of([settled(final, pictures, labels, one, norm) for one in tried])
        median = float(best.median())
        if 0 < median < torch.inf:
            descent = projected_gradient_descent_l2 if norm == "l2" else projected_gradient_descent_linf
            # By a hair more: at the median itself the picture in the middle is on the frontier.
            ended = descent(network, pictures, labels, epsilon=1.001 * median, on_event=heard)
            found["descended"][norm] = ended.success
            again = settled(final, pictures, labels, ended.pictures, norm)
            best, moved, holds = _nearest_of([(best, moved, holds), again])
        else:
            found["descended"][norm] = best == 0
        found["distance"][norm], found["moved"][norm], found["holds"][norm] = best, moved, holds
        size = torch.where(torch.isfinite(best), best, torch.ones(()))
        # What is wrong unmoved needs no search.
        nearer = random_search(final, pictures, labels, 0.9 * size, norm, queries, generator, on_step)
        found["nearer"][norm] = nearer & (size > 0)
        found["farther"][norm] = random_search(final, pictures, labels, 2 * size, norm, queries, generator, on_step)
    line = between(final, pictures, labels, *real)
    return Robustness(
        found["distance"], found["moved"], found["holds"], found["descended"], line, found["nearer"], found["farther"]
    )


def _nearest_of(found: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Of each picture the attack that came nearest: distances, pictures, and whether they held."""
    distance, moved, holds = found[0]
    for other, pictures, held in found[1:]:
        better = other < distance
        distance = torch.where(better, other, distance)
        moved = torch.where(better.view(-1, 1, 1, 1), pictures, moved)
        holds = torch.where(better, held, holds)
    return distance, moved, holds
