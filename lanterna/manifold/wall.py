"""The noise wall: of thousands of random pictures, how near does one come to a real one?"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lanterna.manifold.sets import Split
from lanterna.manifold.stimuli import marginal_noise, noise

__all__ = ["Wall", "nearest", "noise_wall"]

_AT_ONCE = 1000


@dataclass(frozen=True)
class Wall:
    """One kind of noise against real pictures.

    `distance` (N,) is from each noise picture to the nearest real one, in L2 of all pixels; `real_distance` (M,) from each
    test picture to the nearest training picture. `closest` are the noise pictures that come nearest, `neighbours` the real
    pictures they come near to.
    """

    distance: Tensor
    real_distance: Tensor
    closest: Tensor
    neighbours: Tensor

    def numbers(self) -> dict[str, Any]:
        """How many are within what real pictures are from each other, with the bound that 0 of N leaves."""
        count = len(self.distance)
        within = int((self.distance <= self.real_distance.median()).sum())
        return {
            "count": count,
            "within_median": within,
            "within_largest": int((self.distance <= self.real_distance.max()).sum()),
            # The rule of three: with 95 % certainty the share is below 3 / N where none of N was seen.
            "bound": 3 / count if within == 0 else None,
            "nearest_distance": float(self.distance.min()),
            "median_distance": float(self.distance.median()),
            "real_nearest_distance": float(self.real_distance.min()),
            "real_median_distance": float(self.real_distance.median()),
            "real_largest_distance": float(self.real_distance.max()),
        }


def nearest(pictures: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Distance (B,) to, and place (B,) of, the picture of `real` (N, C, H, W) that is nearest in L2."""
    flat = real.flatten(1)
    squares = flat.square().sum(1)
    distances, places = [], []
    for part in pictures.flatten(1).split(_AT_ONCE):
        best = (squares - 2 * part @ flat.T).min(1)
        # Subtracted once more for the one that is nearest: the product above loses the last digits.
        distances.append((part - flat[best.indices]).norm(dim=1))
        places.append(best.indices)
    return torch.cat(distances), torch.cat(places)


def noise_wall(split: Split, count: int, generator: torch.Generator, shown: int = 8) -> dict[str, Wall]:
    """Walls of uniform noise and of noise with each pixel's own distribution, `count` pictures each.

    Of all the noise no more than the `shown` nearest pictures are kept: a million would be gigabytes.
    """
    real_distance, _ = nearest(split.test, split.train)
    kinds: dict[str, Callable[[int], Tensor]] = {
        "uniform": lambda some: noise(some, generator),
        "marginal": lambda some: marginal_noise(split.train, some, generator),
    }
    return {name: _wall(draw, count, split.train, real_distance, shown) for name, draw in kinds.items()}


def _wall(draw: Callable[[int], Tensor], count: int, real: Tensor, real_distance: Tensor, shown: int) -> Wall:
    distances, nearests, closest, neighbours = [], [], [], []
    for start in range(0, count, _AT_ONCE):
        pictures = draw(min(_AT_ONCE, count - start))
        distance, places = nearest(pictures, real)
        best = distance.argsort()[:shown]
        distances.append(distance)
        nearests.append(distance[best])
        closest.append(pictures[best])
        neighbours.append(real[places[best]])
    best = torch.cat(nearests).argsort()[:shown]
    return Wall(torch.cat(distances), real_distance, torch.cat(closest)[best], torch.cat(neighbours)[best])
