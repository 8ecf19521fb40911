"""Fooling pictures of a classifier: from noise, by the gradient of its own confidence, until it is certain."""

from collections.abc import Callable

import torch
from torch import Tensor

from lanterna.manifold.sets import SIDE

__all__ = ["fooling_pictures"]

_RATE = 0.03


def fooling_pictures(
    log_confidence: Callable[[Tensor], Tensor],
    classes: int,
    each: int,
    steps: int,
    generator: torch.Generator,
    on_step: Callable[[int], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """`each` pictures for every class, (K * each, 1, 28, 28), rounded to 8 bits, and the classes aimed at.

    They start as uniform noise and follow the gradient of `log_confidence`, (B, 1, 28, 28) to (B, K), by Adam,
    inside [0, 1]. Of all steps the most confident picture is kept (Nguyen et al., "Deep Neural Networks are Easily
    Fooled", 2015; there by evolution, here by ascent).
    """
    labels = torch.arange(classes).repeat_interleave(each)
    pictures = torch.rand(len(labels), 1, SIDE, SIDE, generator=generator)
    best, best_value = pictures.clone(), torch.full((len(labels),), -torch.inf)
    first, second = torch.zeros_like(pictures), torch.zeros_like(pictures)
    for step in range(steps + 1):
        asked = pictures.requires_grad_()
        value = log_confidence(asked).gather(1, labels[:, None])[:, 0]
        (slope,) = torch.autograd.grad(value.sum(), asked)
        better = value.detach() > best_value
        best[better], best_value[better] = pictures.detach()[better], value.detach()[better]
        if step == steps:
            break
        first = 0.9 * first + 0.1 * slope
        second = 0.99 * second + 0.01 * slope.square()
        move = first / (1 - 0.9 ** (step + 1)) / ((second / (1 - 0.99 ** (step + 1))).sqrt() + 1e-12)
        pictures = (pictures.detach() + _RATE * move).clamp(0, 1)
        if on_step is not None:
            on_step(step + 1)
    return (best * 255).round() / 255, labels
