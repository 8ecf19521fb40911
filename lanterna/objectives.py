"""What is wanted, as values: functions of layers that add, scale and negate like numbers, and never change.

An objective gives one number per picture, higher is better. `neuron("blocks.4", 12) - 0.1 * total_variation()` is an
objective; nothing is computed until the ascent gives it features. Declaring objectives apart from rendering is Lucid's idea.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.errors import InputError

__all__ = [
    "PICTURE",
    "PROGRESS",
    "Objective",
    "alignment",
    "channel",
    "class_logit",
    "direction",
    "diversity",
    "each",
    "interpolate",
    "layer_norm",
    "neuron",
    "resemblance",
    "spread",
]

# The features of this name are the pictures themselves (B, C, H, W), in [0, 1]: what priors look at.
PICTURE = "picture"

# The share of the run that is done, one number from 0 to 1 for the whole batch: what schedules look at.
PROGRESS = "progress"

Features = Mapping[str, Tensor]
Number = int | float


@dataclass(frozen=True)
class Objective:
    """`value` maps the features of `layers`, each (B, ...), to one number per picture (B,)."""

    value: Callable[[Features], Tensor]
    layers: frozenset[str]
    name: str

    def __call__(self, features: Features) -> Tensor:
        """One number per picture (B,) from the features of `layers`."""
        return self.value(features)

    def __str__(self) -> str:
        return self.name

    def _with(self, other: "Objective | Number", sign: str, combine: Callable[..., Tensor]) -> "Objective":
        if isinstance(other, Objective):
            right = other
            return Objective(
                lambda features: combine(self.value(features), right.value(features)),
                self.layers | right.layers,
                f"({self.name} {sign} {right.name})",
            )
        number = float(other)
        return Objective(
            lambda features: combine(self.value(features), number), self.layers, f"({self.name} {sign} {number:g})"
        )

    def __add__(self, other: "Objective | Number") -> "Objective":
        return self._with(other, "+", torch.add)

    __radd__ = __add__

    def __sub__(self, other: "Objective | Number") -> "Objective":
        return self._with(other, "-", torch.sub)

    def __rsub__(self, other: Number) -> "Objective":
        return -self + other

    def __mul__(self, other: "Objective | Number") -> "Objective":
        return self._with(other, "*", torch.mul)

    __rmul__ = __mul__

    def __truediv__(self, other: "Objective | Number") -> "Objective":
        return self._with(other, "/", torch.div)

    def __rtruediv__(self, other: Number) -> "Objective":
        return self**-1 * other

    def __pow__(self, power: Number) -> "Objective":
        return self._with(power, "**", torch.pow)

    def __neg__(self) -> "Objective":
        return Objective(lambda features: -self.value(features), self.layers, f"-{self.name}")


def _of(layer: str, name: str, value: Callable[[Tensor], Tensor]) -> Objective:
    return Objective(lambda features: value(features[layer]), frozenset([layer]), name)


def _check(features: Tensor, layer: str, unit: int, at: tuple[int, int] | None = None) -> None:
    if not 0 <= unit < features.shape[1]:
        raise InputError(f"unit {unit} is out of range; layer {layer!r} has channels 0 to {features.shape[1] - 1}")
    if at is not None and features.ndim == 4 and not (0 <= at[0] < features.shape[2] and 0 <= at[1] < features.shape[3]):
        rows, columns = features.shape[2] - 1, features.shape[3] - 1
        raise InputError(
            f"position {at[0]},{at[1]} is out of range; layer {layer!r} has rows 0 to {rows} and columns 0 to {columns}"
        )


def neuron(layer: str, unit: int, at: tuple[int, int] | None = None) -> Objective:
    """Activation of one neuron: channel `unit` at (row, column), by default in the middle of the map."""

    def value(features: Tensor) -> Tensor:
        _check(features, layer, unit, at)
        if features.ndim != 4:
            return features[:, unit].flatten(1).mean(1) if features.ndim > 2 else features[:, unit]
        row, column = at or (features.shape[2] // 2, features.shape[3] // 2)
        return features[:, unit, row, column]

    return _of(layer, f"{layer}:{unit}@{f'{at[0]},{at[1]}' if at else 'centre'}", value)


def channel(layer: str, unit: int) -> Objective:
    """Mean activation of a channel over all positions."""

    def value(features: Tensor) -> Tensor:
        _check(features, layer, unit)
        plane = features[:, unit]
        return plane.flatten(1).mean(1) if plane.ndim > 1 else plane

    return _of(layer, f"{layer}:{unit}", value)


def class_logit(index: int, layer: str = "logits") -> Objective:
    """The logit of a class, before any softmax."""
    return channel(layer, index)


def layer_norm(layer: str) -> Objective:
    """Half the mean square of a whole layer: its gradient is the activation itself (DeepDream)."""
    return _of(layer, layer, lambda features: features.flatten(1).square().mean(1) / 2)


def direction(layer: str, vector: Tensor, cosine_power: float = 1.0) -> Objective:
    """dot(features, vector) * max(0.1, cosine) ** power, averaged over positions; `vector` is (channels,).

    The cosine keeps the direction pure where the dot product alone would be won by length (Lucid).
    """

    def value(features: Tensor) -> Tensor:
        if vector.shape != (features.shape[1],):
            raise InputError(f"the direction has shape {tuple(vector.shape)}; layer {layer!r} takes ({features.shape[1]},)")
        columns = features.flatten(2) if features.ndim > 2 else features.unsqueeze(2)
        along = vector.to(features).view(1, -1, 1)
        dot = (columns * along).sum(1)
        cosine = F.cosine_similarity(columns, along, dim=1)
        return (dot * cosine.clamp(min=0.1) ** cosine_power).mean(1)

    return _of(layer, f"{layer}:direction", value)


def each(objectives: Sequence[Objective]) -> Objective:
    """Objective i for picture i of the batch: many units in one run."""
    layers = frozenset[str]().union(*(objective.layers for objective in objectives))

    def value(features: Features) -> Tensor:
        if len(features[next(iter(layers))]) != len(objectives):
            raise InputError(f"{len(objectives)} objectives need as many pictures, not {len(features[next(iter(layers))])}")
        # unbind, not slices: the gradient of a slice is a whole map of zeros for every picture.
        split = {name: features[name].unbind(0) for name in layers}
        values = [
            objective({name: split[name][i].unsqueeze(0) for name in objective.layers})
            for i, objective in enumerate(objectives)
        ]
        return torch.cat(values)

    return Objective(value, layers, ", ".join(objective.name for objective in objectives))


def interpolate(first: Objective, second: Objective) -> Objective:
    """From `first` to `second` across the batch: picture 0 is all first, the last one all second."""

    def value(features: Features) -> Tensor:
        left, right = first(features), second(features)
        return torch.lerp(left, right, torch.linspace(0, 1, len(left), device=left.device, dtype=left.dtype))

    return Objective(value, first.layers | second.layers, f"{first.name} to {second.name}")


def alignment(layer: str) -> Objective:
    """Minus the mean squared difference between neighbours of the batch at `layer`: keeps a series of pictures in line."""

    def value(features: Tensor) -> Tensor:
        if len(features) < 2:
            return features.new_zeros(len(features))
        steps = (features[1:] - features[:-1]).flatten(1).square().mean(1)
        # Each picture answers for both its neighbours.
        return -(F.pad(steps, (1, 0)) + F.pad(steps, (0, 1))) / 2

    return _of(layer, f"alignment({layer})", value)


def diversity(layer: str) -> Objective:
    """Minus the mean cosine of a picture's Gram matrix with those of the others: pushes a batch apart (Lucid)."""

    def value(features: Tensor) -> Tensor:
        count = len(features)
        columns = features.flatten(2) if features.ndim > 2 else features.unsqueeze(2)
        gram = F.normalize((columns @ columns.transpose(1, 2)).flatten(1), dim=1)
        similar = gram @ gram.T
        return -(similar.sum(1) - similar.diagonal()) / max(count - 1, 1)

    return _of(layer, f"diversity({layer})", value)


Measure = Literal["squared", "cosine", "softmax"]


def resemblance(
    layer: str,
    reference: Tensor,
    *,
    measure: Measure = "squared",
    channels: Sequence[int] | None = None,
    region: tuple[int, int, int, int] | None = None,
) -> Objective:
    """Minus the distance to `reference` (1, C, ...), the layer's features of one picture: 0 where they are the same.

    `squared` is the squared distance over the reference's squared length (Mahendran and Vedaldi 2015); `cosine` one minus
    the cosine; `softmax` the Kullback-Leibler divergence of the softmax over channels, averaged over positions. Only
    `channels` count, if given, and in a map only `region`, which is (top, left, height, width).
    """

    def part(features: Tensor) -> Tensor:
        if region is not None:
            top, left, height, width = region
            features = features[..., top : top + height, left : left + width]
        return features if channels is None else features[:, list(channels)]

    wanted = part(reference)
    # Nothing to normalise by where the layer is silent: the distance itself is left then.
    energy = float(wanted.square().sum()) or 1.0

    def value(features: Tensor) -> Tensor:
        given, aim = part(features), wanted.to(features)
        if measure == "squared":
            return (given - aim).flatten(1).square().sum(1) / -energy
        if measure == "cosine":
            return F.cosine_similarity(given.flatten(1), aim.flatten(1), dim=1) - 1
        divergence = F.kl_div(given.log_softmax(1), aim.log_softmax(1).expand_as(given), log_target=True, reduction="none")
        total = divergence.sum(1)
        return -(total.flatten(1).mean(1) if total.ndim > 1 else total)

    return _of(layer, f"resemblance({layer}, {measure})", value)


def spread(layer: str) -> Objective:
    """Logarithm of the mean squared distance to the others of the batch, which drives equal pictures apart first."""

    def value(features: Tensor) -> Tensor:
        count = len(features)
        if count < 2:
            return features.new_zeros(count)
        rows = features.flatten(1)
        distances = (rows[:, None] - rows[None]).square().mean(2)
        return (distances.sum(1) / (count - 1) + 1e-6).log()

    return _of(layer, f"spread({layer})", value)
