"""L-BFGS for a batch: every picture has its own curvature, and a step costs one pass.

Nocedal, "Updating Quasi-Newton Matrices with Limited Storage", Mathematics of Computation 1980.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["BatchLBFGS", "Pair"]

# A pair of steps counts where the gradient changed along the way at least this much, relative to both lengths: less is
# rounding, or a kink where the curvature is no guide.
_LEAST_CURVATURE = 1e-6


# How much shorter a step is tried again where it led uphill.
_SHORTER = 0.25


@dataclass(frozen=True)
class _Place:
    """Where each picture is: parameters and gradient (B, N), value (B, 1), and the step that was taken from there."""

    at: Tensor
    gradient: Tensor
    value: Tensor
    step: Tensor


@dataclass(frozen=True)
class Pair:
    """A move and the change of the gradient along it, (B, N), for each picture.

    `inverse` (B, 1) is 1 / (move * change); 0 for a pair that does not count, so that pictures of a batch need not agree.
    """

    move: Tensor
    change: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, move: Tensor, change: Tensor) -> "Pair":
        """The pair of a move (B, N) and a change of the gradient, weighed by whether it counts."""
        curvature = (move * change).sum(1, keepdim=True)
        floor = _LEAST_CURVATURE * move.norm(dim=1, keepdim=True) * change.norm(dim=1, keepdim=True)
        return cls(move, change, torch.where((curvature > floor) & (curvature > 0), 1 / curvature, 0.0))


class BatchLBFGS(torch.optim.Optimizer):
    """L-BFGS with one evaluation a step, for parameters whose first dimension is a batch of independent problems.

    torch's own takes the batch as one problem, so that a picture would depend on those beside it, and asks the device for
    a number in every step. The step is the quasi-Newton one times `lr`; the first has length `first`, in the units of the
    parameters. A picture whose step led uphill goes back and takes a shorter one.
    """

    def __init__(self, parameters: list[Tensor], lr: float = 1.0, history: int = 10, first: float = 1.0) -> None:
        super().__init__(parameters, {"lr": lr})
        self._history, self._first = history, first
        self.pairs: list[Pair] = []
        self._last: _Place | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every picture; `closure` leaves the gradients and gives the value of each, (B,), to be lowered."""
        if closure is None:
            raise TypeError("BatchLBFGS.step needs a closure that gives the value of each picture")
        with torch.enable_grad():
            values = closure()
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        at = torch.cat([parameter.flatten(1) for parameter in parameters], 1)
        gradient = torch.cat([parameter.grad.flatten(1) for parameter in parameters], 1)
        self._last = self._next(at, gradient, values.detach().view(-1, 1))
        moved = self._last.at + self._last.step
        for parameter, part in zip(parameters, moved.split([one[0].numel() for one in parameters], dim=1), strict=True):
            parameter.copy_(part.view_as(parameter))
        return values

    def snapshot(self) -> dict[str, Tensor]:
        """All that it has gathered, for `restore`: by name, so that it can be kept in a file."""
        kept = {f"{name}{index}": getattr(pair, name) for index, pair in enumerate(self.pairs) for name in ("move", "change")}
        return kept if self._last is None else kept | vars(self._last)

    def restore(self, kept: dict[str, Tensor]) -> None:
        """Go on from a snapshot; one without a last place leaves the first step to what its pairs say."""
        count = sum(name.startswith("move") for name in kept)
        newest = range(max(0, count - self._history), count)
        self.pairs = [Pair.of(kept[f"move{index}"], kept[f"change{index}"]) for index in newest]
        self._last = _Place(*(kept[name] for name in ("at", "gradient", "value", "step"))) if "at" in kept else None

    def _next(self, at: Tensor, gradient: Tensor, value: Tensor) -> _Place:
        last = self._last
        if last is None and not self.pairs:
            length = gradient.norm(dim=1, keepdim=True).clamp(min=torch.finfo(gradient.dtype).tiny)
            return _Place(at, gradient, value, gradient * (-self._first / length))
        if last is None:
            return _Place(at, gradient, value, -self.param_groups[0]["lr"] * self._newton(gradient))
        # Written so that NaN counts as uphill.
        uphill = ~(value <= last.value)
        self.pairs = [*self.pairs, Pair.of(last.step, gradient - last.gradient)][-self._history :]
        at, gradient = torch.where(uphill, last.at, at), torch.where(uphill, last.gradient, gradient)
        step = -self.param_groups[0]["lr"] * self._newton(gradient)
        step = torch.where(uphill, _SHORTER * last.step, step)
        return _Place(at, gradient, torch.where(uphill, last.value, value), step)

    def _newton(self, gradient: Tensor) -> Tensor:
        """The inverse Hessian's estimate times the gradient: the two loops of the paper."""
        direction, shares = gradient.clone(), []
        for pair in reversed(self.pairs):
            share = pair.inverse * (pair.move * direction).sum(1, keepdim=True)
            direction.addcmul_(pair.change, share, value=-1)
            shares.append(share)
        direction *= self._scale()
        for pair, share in zip(self.pairs, reversed(shares), strict=True):
            direction.addcmul_(pair.move, share - pair.inverse * (pair.change * direction).sum(1, keepdim=True))
        return direction

    def _scale(self) -> Tensor:
        """The size of the inverse Hessian along the newest pair that counts, for each picture."""
        scale = torch.ones_like(self.pairs[0].inverse)
        for pair in self.pairs:
            found = 1 / (pair.inverse * pair.change.square().sum(1, keepdim=True))
            scale = torch.where(pair.inverse > 0, found, scale)
        return scale
