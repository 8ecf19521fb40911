"""Optimisers for one picture that is carried from size to size: Adam with an average, and L-BFGS."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lanterna.lbfgs import BatchLBFGS

__all__ = ["AveragedAdam", "CarriedLBFGS", "resized"]

# crowsonkb/style-transfer-pytorch: betas of Adam.
_BETAS = (0.9, 0.99)

# A relative loss of a large picture has gradients of 1e-7 a pixel and less: beside the usual 1e-8 they would be slowed down.
_EPSILON = 1e-15

# Pairs of steps to remember, and of pictures above 1200 x 1200, where each pair takes 35 MB and more. At 256 px 4 left a
# fiftieth more of the loss than 15, and 2 a thirtieth; 8 left no more.
_HISTORY, _HISTORY_OF_LARGE, _LARGE = 10, 3, 3 * 1200 * 1200

# How far the first step of L-BFGS moves a pixel, in the mean: of torch's, a hundredth of that and less, rounding is left.
_FIRST = 0.01


def resized(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, C, H, W) at another size, bicubic, not clamped."""
    if picture.shape[2:] == size:
        return picture.clone()
    smaller = size[0] < picture.shape[2]
    return F.interpolate(picture, size, mode="bicubic", antialias=smaller, align_corners=False)


class AveragedAdam(torch.optim.Adam):
    """Adam whose pictures stay in [0, 1], with the exponential average of the pictures beside it.

    The average is unbiased (divided by the weight it has gathered) and quiet where the picture itself still trembles.
    `carried` is a state from `carry`: moments go on at the next size, so a scale does not begin by losing what it was given.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        *,
        decay: float = 0.99,
        carried: dict[str, Tensor] | None = None,
    ) -> None:
        super().__init__(list(parameters), lr=lr, betas=_BETAS, eps=_EPSILON)
        self.decay = decay
        self.picture: Tensor = self.param_groups[0]["params"][0]
        self.gathered = torch.zeros_like(self.picture)
        self.weight = 0.0
        if carried:
            moments = {name: carried[name].clone().to(self.picture.device) for name in ("exp_avg", "exp_avg_sq")}
            # The count of steps stays where Adam looks for it, on the CPU.
            self.state[self.picture] = {"step": carried["step"].clone(), **moments}
            if "gathered" in carried:
                self.gathered = carried["gathered"].clone().to(self.picture.device)
                self.weight = float(carried["weight"])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step downhill; the picture is kept in [0, 1] and joins the average."""
        with torch.enable_grad():
            loss = closure() if closure else None
        super().step()
        self.picture.clamp_(0, 1)
        self.gathered.lerp_(self.picture, 1 - self.decay)
        self.weight = self.decay * self.weight + (1 - self.decay)
        return loss

    @property
    def average(self) -> Tensor:
        """The averaged picture (1, C, H, W) in [0, 1]; the picture itself before any step."""
        if not self.weight:
            return self.picture.detach().clone()
        average: Tensor = (self.gathered / self.weight).clamp(0, 1)
        return average

    def snapshot(self) -> dict[str, Tensor]:
        """All of its state, to go on from at the same size."""
        state = self.state[self.picture]
        if not state:
            return {}
        kept = {name: state[name].clone() for name in ("step", "exp_avg", "exp_avg_sq")}
        return kept | {"gathered": self.gathered.clone(), "weight": torch.tensor(self.weight, dtype=torch.float64)}

    def carry(self, size: tuple[int, int]) -> dict[str, Tensor]:
        """Its moments at another size (height, width); the average begins anew there, from the picture it is given."""
        state = self.state[self.picture]
        if not state:
            return {}
        squares = F.interpolate(state["exp_avg_sq"], size, mode="bilinear", align_corners=False)
        return {
            "step": state["step"].clone(),
            "exp_avg": resized(state["exp_avg"], size),
            # Bicubic would overshoot below zero, where Adam has no root.
            "exp_avg_sq": squares.clamp(min=0),
        }


class CarriedLBFGS(BatchLBFGS):
    """L-BFGS for one picture (1, C, H, W); `carried` is a state from `carry` or `snapshot`.

    Its pairs of moves and changes are pictures, and so they are resized; the gradient of a mean falls as the number of pixels
    rises.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, *, carried: dict[str, Tensor] | None = None) -> None:
        given = list(parameters)
        self.picture = given[0]
        history = _HISTORY if self.picture.numel() <= _LARGE else _HISTORY_OF_LARGE
        super().__init__(given, lr, history, first=_FIRST * self.picture.numel() ** 0.5)
        if carried:
            self.restore({name: part.to(self.picture.device) for name, part in carried.items()})

    @property
    def average(self) -> Tensor:
        """The picture (1, C, H, W), clamped to [0, 1]: L-BFGS does not tremble."""
        return self.picture.detach().clamp(0, 1)

    def carry(self, size: tuple[int, int]) -> dict[str, Tensor]:
        """Its pairs at another size (height, width)."""
        shape = self.picture.shape
        share = shape[2] * shape[3] / (size[0] * size[1])
        carried = {}
        for index, pair in enumerate(self.pairs):
            carried[f"move{index}"] = resized(pair.move.view(shape), size).flatten(1)
            carried[f"change{index}"] = resized(pair.change.view(shape), size).flatten(1) * share
        return carried
