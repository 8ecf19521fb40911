"""L-BFGS for a batch: every picture has its own curvature, and a step costs one pass.

Nocedal, "Updating Quasi-Newton Matrices with Limited Storage", Mathematics of Computation 1980.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["BatchLBFGS"]

# A pair of steps counts where the gradient changed along the way at least this much, relative to both lengths: less is
# rounding, or a kink where the curvature is no guide.
_LEAST_CURVATURE = 1e-6


class BatchLBFGS(torch.optim.Optimizer):
    """L-BFGS without line search, for parameters whose first dimension is a batch of independent problems.

    torch's own takes the batch as one problem, so that a picture would depend on those beside it, and asks the device for
    a number in every step. The step is the quasi-Newton one times `lr`; the first has length `first`, in the units
    of the parameters.
    """

    def __init__(self, parameters: list[Tensor], lr: float = 1.0, history: int = 10, first: float = 1.0) -> None:
        super().__init__(parameters, {"lr": lr})
        self._history, self._first = history, first
        self._moves: list[Tensor] = []
        self._changes: list[Tensor] = []
        self._curvatures: list[Tensor] = []
        self._last: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One evaluation of `closure`, which must leave the gradients, and one step of every picture."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        gradient = torch.cat([parameter.grad.flatten(1) for parameter in parameters], 1)
        if self._last is None:
            length = gradient.norm(dim=1, keepdim=True).clamp(min=torch.finfo(gradient.dtype).tiny)
            step = gradient * (-self._first / length)
        else:
            before, move = self._last
            self._remember(move, gradient - before)
            step = -self.param_groups[0]["lr"] * self._newton(gradient)
        self._last = gradient, step
        sizes = [parameter[0].numel() for parameter in parameters]
        for parameter, part in zip(parameters, step.split(sizes, dim=1), strict=True):
            parameter += part.view_as(parameter)
        return loss

    def _remember(self, move: Tensor, change: Tensor) -> None:
        curvature = (move * change).sum(1, keepdim=True)
        floor = _LEAST_CURVATURE * move.norm(dim=1, keepdim=True) * change.norm(dim=1, keepdim=True)
        # A pair that does not count weighs nothing, so that pictures of a batch need not agree about it.
        inverse = torch.where((curvature > floor) & (curvature > 0), 1 / curvature, 0.0)
        self._moves.append(move)
        self._changes.append(change)
        self._curvatures.append(inverse)
        if len(self._moves) > self._history:
            del self._moves[0], self._changes[0], self._curvatures[0]

    def _newton(self, gradient: Tensor) -> Tensor:
        """The inverse Hessian's estimate times the gradient: the two loops of the paper."""
        direction, shares = gradient.clone(), []
        for move, change, inverse in zip(*map(reversed, (self._moves, self._changes, self._curvatures)), strict=True):
            share = inverse * (move * direction).sum(1, keepdim=True)
            direction.addcmul_(change, share, value=-1)
            shares.append(share)
        direction *= self._scale()
        for move, change, inverse, share in zip(self._moves, self._changes, self._curvatures, reversed(shares), strict=True):
            direction.addcmul_(move, share - inverse * (change * direction).sum(1, keepdim=True))
        return direction

    def _scale(self) -> Tensor:
        """The size of the inverse Hessian along the newest pair that counts, for each picture."""
        scale = torch.ones_like(self._curvatures[0])
        for change, inverse in zip(self._changes, self._curvatures, strict=True):
            found = 1 / (inverse * change.square().sum(1, keepdim=True))
            scale = torch.where(inverse > 0, found, scale)
        return scale
