"""An optimiser that begins as Adam and goes on as another one from where Adam has come to."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lanterna.ascent import cosine

__all__ = ["Warmed"]


class Warmed(torch.optim.Optimizer):
    """Adam for the first `steps` steps, its rate falling from `warm_lr` to nothing, then what `then` makes.

    Adam strides across the small valleys that a quasi-Newton method goes down into at once; that one then finds the bottom.
    `then` gets the parameters and `lr`, and its steps get the closure.
    """

    def __init__(
        self,
        parameters: list[Tensor],
        lr: float,
        *,
        steps: int,
        warm_lr: float,
        then: Callable[..., torch.optim.Optimizer],
    ) -> None:
        super().__init__(parameters, {"lr": lr})
        self._warm = torch.optim.Adam(parameters, lr=warm_lr)
        self._then = then(parameters, lr=lr)
        self._steps, self._warm_lr, self._taken = steps, warm_lr, 0

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure` leaves the gradients and gives the value of each picture, (B,), to be lowered."""
        if closure is None:
            raise TypeError("Warmed.step needs a closure that gives the value of each picture")
        if self._taken >= self._steps:
            return self._then.step(closure)
        with torch.enable_grad():
            values = closure()
        self._warm.param_groups[0]["lr"] = self._warm_lr * cosine(self._taken / max(self._steps - 1, 1))
        self._warm.step()
        self._taken += 1
        return values
