"""Descent over pictures with momentum, whose stride is given and not left to the length of the gradient."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lanterna.pictures.colour import mixed_colours

__all__ = ["NormalizedMomentum"]


class NormalizedMomentum(torch.optim.Optimizer):
    """Momentum over gradients of length 1, for pictures (B, C, H, W), which are independent of each other and stay in [0, 1].

    A step changes a picture by at most `lr`, as root mean square over its values. The directions are those of the gradient,
    which Adam and quasi-Newton methods level out: where many pictures do as well, that is what decides which is found. A
    long stride can't rest in a small valley, and none diverges. `colours` (C, C), symmetric and positive, mixes the channels
    of a gradient: a step goes further in the directions of colour that it weighs more.
    """

    def __init__(self, parameters: list[Tensor], lr: float, momentum: float = 0.9, colours: Tensor | None = None) -> None:
        super().__init__(parameters, {"lr": lr})
        self._momentum, self._colours = momentum, colours
        self._velocities: list[Tensor] = []

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every picture; `closure` leaves the gradients and gives what is to be lowered."""
        if closure is None:
            raise TypeError("NormalizedMomentum.step needs a closure")
        with torch.enable_grad():
            values = closure()
        pairs = [(parameter, group["lr"]) for group in self.param_groups for parameter in group["params"]]
        if not self._velocities:
            self._velocities = [torch.zeros_like(parameter) for parameter, _ in pairs]
        for (parameter, lr), velocity in zip(pairs, self._velocities, strict=True):
            gradient = parameter.grad
            if self._colours is not None:
                gradient = mixed_colours(self._colours, gradient)
            shape = (-1, *[1] * (gradient.ndim - 1))
            # No gradient at all, as behind a dead layer, is no direction either.
            size = gradient.flatten(1).square().mean(1).sqrt().clamp(min=torch.finfo(gradient.dtype).tiny).view(shape)
            velocity.lerp_(gradient / size, 1 - self._momentum)
            parameter.sub_(velocity, alpha=lr).clamp_(0, 1)
        return values
