"""One encoder and one decoder for each kind and size of picture: variants differ in the bottleneck and the loss only.

Convolutions are those of Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks", 2016 (4 x 4, stride 2, no pooling), without its batch normalisation: a picture's code must not depend
on the others beside it.
"""

import itertools
from math import log
from typing import Literal

import torch
from torch import Tensor, nn

from lanterna.errors import InputError

__all__ = ["SIDES", "Body", "Decoder", "Encoder"]

Body = Literal["dense", "conv"]

# 28 for grey pictures such as digits, 32 and 64 for colour.
SIDES = (28, 32, 64)

_WIDTH = 32
_HIDDEN = {"dense": (1024, 512), "conv": (256,)}


def _stages(side: int) -> int:
    if side not in SIDES:
        raise InputError(f"autoencoders take pictures of {', '.join(map(str, SIDES))} px a side; {side} was given")
    return 3 if side == 64 else 2


def _linear(sizes: list[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for inside, outside in itertools.pairwise(sizes):
        layers += [nn.Linear(inside, outside), nn.GELU()]
    return layers


def _widths(channels: int, stages: int) -> list[int]:
    return [channels, *(_WIDTH * min(2**stage, 2) for stage in range(stages))]


class Encoder(nn.Module):
    """Pictures (B, C, S, S) in [0, 1] to features (B, `features`), from which a bottleneck makes the code."""

    def __init__(self, body: Body, channels: int, side: int) -> None:
        super().__init__()
        stages = _stages(side)
        if body == "dense":
            sizes = [channels * side * side, *_HIDDEN["dense"]]
            layers: list[nn.Module] = [nn.Flatten(), *_linear(sizes)]
        else:
            widths = _widths(channels, stages)
            layers = []
            for inside, outside in itertools.pairwise(widths):
                layers += [nn.Conv2d(inside, outside, 4, stride=2, padding=1), nn.GELU()]
            small = side // 2**stages
            layers += [nn.Flatten(), *_linear([widths[-1] * small * small, *_HIDDEN["conv"]])]
        self.features = _HIDDEN[body][-1]
        self.layers = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features (B, `features`)."""
        features: Tensor = self.layers(pictures)
        return features


class Decoder(nn.Module):
    """Codes (B, K) to pictures (B, C, S, S) in [0, 1]."""

    def __init__(self, body: Body, channels: int, side: int, code: int, mean: float = 0.5) -> None:
        super().__init__()
        stages = _stages(side)
        if body == "dense":
            hidden = list(reversed(_HIDDEN["dense"]))
            last: nn.Module = nn.Linear(hidden[-1], channels * side * side)
            layers = [*_linear([code, *hidden]), last, nn.Unflatten(1, (channels, side, side))]
        else:
            widths = list(reversed(_widths(channels, stages)))
            small = side // 2**stages
            layers = _linear([code, *reversed(_HIDDEN["conv"]), widths[0] * small * small])
            layers.append(nn.Unflatten(1, (widths[0], small, small)))
            for inside, outside in itertools.pairwise(widths):
                last = nn.ConvTranspose2d(inside, outside, 4, stride=2, padding=1)
                layers += [last, nn.GELU()]
            layers.pop()
        self.layers = nn.Sequential(*layers)
        # Begins at the data's mean brightness instead of grey, which would be unlearned for a while first.
        share = min(max(mean, 0.02), 0.98)
        nn.init.constant_(last.bias, log(share / (1 - share)))  # type: ignore[arg-type]  # both kinds of layer have one

    def forward(self, codes: Tensor) -> Tensor:
        """Pictures in [0, 1]."""
        return torch.sigmoid(self.layers(codes))
