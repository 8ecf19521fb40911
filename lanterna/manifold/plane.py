"""Planes through picture space, and what both classifiers say at each point of them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lanterna.manifold.judges import Judges
from lanterna.manifold.sets import Split

__all__ = ["Plane", "around", "through_three"]


@dataclass(frozen=True)
class Plane:
    """A square grid over a plane.

    `across` and `down` (S,) are the coordinates in L2 of all pixels. `frontier_class` and `frontier_confidence` (S, S) are
    the discriminative classifier's; `density_class`, `density_confidence` (with "none of them" as an answer) and `density`
    (S, S), log p in nats, the generative one's. `inside` (S, S) says where every pixel is in [0, 1]. `anchors` are the real
    pictures of the plane, at `places` (A, 2), with their classes.
    """

    across: Tensor
    down: Tensor
    frontier_class: Tensor
    frontier_confidence: Tensor
    density_class: Tensor
    density_confidence: Tensor
    density: Tensor
    floor: float
    inside: Tensor
    anchors: Tensor
    places: Tensor
    labels: tuple[int, ...]

    def numbers(self) -> dict[str, Any]:
        """Shares of the plane: where each is confident, and where the densities leave a blank."""
        return {
            "frontier_confident_share": float((self.frontier_confidence > 0.9).float().mean()),
            "density_confident_share": float((self.density_confidence > 0.9).float().mean()),
            "density_blank_share": float((self.density < self.floor).float().mean()),
            "inside_share": float(self.inside.float().mean()),
        }

    def changes(self) -> dict[str, float | None]:
        """Around one picture: how far along each axis each classifier changes its mind, None where it never does."""
        middle = len(self.across) // 2
        told: dict[str, float | None] = {}
        for name, classes in (("frontier", self.frontier_class), ("density", self.density_class)):
            for axis, line in (("gradient", classes[middle]), ("random", classes[:, middle])):
                other = self.across.abs()[line != line[middle]]
                told[f"{name}_changes_along_{axis}"] = float(other.min()) if len(other) else None
        return told


def _grid(
    judges: Judges, origin: Tensor, axes: Tensor, across: Tensor, down: Tensor, anchors: Tensor, labels: tuple[int, ...]
) -> Plane:
    """The plane `origin` (784,) + across * axes[0] + down * axes[1], with `axes` (2, 784) of length 1."""
    rows, columns = torch.meshgrid(down, across, indexing="ij")
    points = origin + columns.reshape(-1, 1) * axes[0] + rows.reshape(-1, 1) * axes[1]
    said = judges.judge(points.view(-1, 1, *anchors.shape[2:]))
    shape = (len(down), len(across))
    return Plane(
        across,
        down,
        said.frontier_class.view(shape),
        said.frontier_confidence.view(shape),
        said.density_class.view(shape),
        said.density_confidence.view(shape),
        said.density.view(shape),
        judges.floor,
        # A little room: rounding errors at the corners of the cube are not outside.
        ((points >= -1e-4) & (points <= 1 + 1e-4)).all(1).view(shape),
        anchors,
        (anchors.flatten(1) - origin) @ axes.T,
        labels,
    )


def through_three(judges: Judges, split: Split, side: int) -> Plane:
    """The plane through three test pictures that both classifiers have right, of three classes (or two, where there are two).

    Three points lie in a plane, whatever they are: nothing is projected, each point of it is a picture. Beyond the three it
    goes on as far again, which leaves the cube of pictures in [0, 1].
    """
    classes = list(range(min(3, len(split.classes))))
    if len(split.classes) > 4:
        # Spread over the classes: for digits 0, 3 and 7, which do not resemble each other.
        classes = [0, len(split.classes) // 3, 2 * len(split.classes) // 3 + 1]
    said = judges.judge(split.test)
    right = (said.frontier_class == split.test_labels) & (said.density_class == split.test_labels)
    chosen = []
    for label in [*classes, *classes[:1]][:3]:
        known = (split.test_labels == label) & right
        fitting = torch.nonzero(known if bool(known.any()) else split.test_labels == label)[:, 0].tolist()
        # The most typical: the one with the highest density, that is not in yet.
        ranked = sorted(fitting, key=lambda place: -float(said.density[place]))
        chosen.append(next((place for place in ranked if place not in chosen), ranked[0]))
    anchors = split.test[chosen]
    flat = anchors.flatten(1)
    origin = flat.mean(0)
    first = flat[1] - flat[0]
    first = first / first.norm().clamp(min=1e-6)
    second = flat[2] - flat[0]
    second = second - (second @ first) * first
    axes = torch.stack([first, second / second.norm().clamp(min=1e-6)])
    reach = 2.2 * float(((flat - origin) @ axes.T).norm(dim=1).max())
    line = torch.linspace(-reach, reach, side)
    labels = tuple(split.test_labels[chosen].tolist())
    return _grid(judges, origin, axes, line, line, anchors, labels)


def around(judges: Judges, split: Split, side: int, generator: torch.Generator, reach: float = 6.0) -> Plane:
    """The plane around one test picture: across, the way the classifier's loss rises fastest; down, a random direction."""
    said = judges.judge(split.test)
    right = (said.frontier_class == split.test_labels) & (said.density_class == split.test_labels)
    sure = right & (said.frontier_confidence >= said.frontier_confidence[right].median()) if bool(right.any()) else right
    places = torch.nonzero(sure)[:, 0]
    # One that the classifier is sure of, and neither the most typical nor the oddest of those.
    ranked = places[said.density[places].argsort()]
    chosen = int(ranked[len(ranked) // 2]) if len(ranked) else 0
    picture = split.test[chosen : chosen + 1]
    asked = picture.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(judges.classifier(asked), split.test_labels[chosen : chosen + 1])
    (gradient,) = torch.autograd.grad(loss, asked)
    across = gradient.flatten() / gradient.norm().clamp(min=1e-12)
    down = torch.randn(across.shape, generator=generator)
    down = down - (down @ across) * across
    line = torch.linspace(-reach, reach, side)
    labels = (int(split.test_labels[chosen]),)
    return _grid(judges, picture.flatten(), torch.stack([across, down / down.norm()]), line, line, picture, labels)
