"""Adam first, then L-BFGS from there."""

from functools import partial

import torch
from torch import Tensor

from lanterna.ascent import cosine
from lanterna.lbfgs import BatchLBFGS
from lanterna.warmed import Warmed


def _valleys(x: Tensor) -> Tensor:
    """Many small valleys on a wide slope; the deepest is at 0."""
    return (0.05 * x.square() + (3 * x).sin().square()).sum(1)


def _descend(tuner: torch.optim.Optimizer, x: Tensor, steps: int) -> Tensor:
    def closure() -> Tensor:
        tuner.zero_grad()
        values = _valleys(x)
        values.sum().backward()
        return values.detach()

    for _ in range(steps):
        tuner.step(closure)
    return x.detach()


def test_it_comes_out_of_small_valleys_and_down_to_the_bottom() -> None:
    begin = torch.tensor([[2.2], [-3.3]])
    x, alone = begin.clone().requires_grad_(True), begin.clone().requires_grad_(True)
    then = partial(BatchLBFGS, first=0.01)
    warmed = _descend(Warmed([x], lr=1.0, steps=60, warm_lr=0.6, then=then), x, 100)
    stuck = _descend(then([alone]), alone, 100)
    assert (_valleys(warmed) < 0.5 * _valleys(stuck)).all()
    # At the bottom of its valley, where Adam with its last steps hardly comes.
    slope = torch.autograd.grad(_valleys(warmed.requires_grad_(True)).sum(), warmed)[0]
    assert float(slope.abs().max()) < 1e-4


def test_the_first_steps_are_adams() -> None:
    x, other = (torch.tensor([[1.0, -2.0]]).requires_grad_(True) for _ in range(2))
    _descend(Warmed([x], lr=1.0, steps=5, warm_lr=0.1, then=BatchLBFGS), x, 5)
    adam = torch.optim.Adam([other], lr=0.1)
    for step in range(5):
        adam.param_groups[0]["lr"] = 0.1 * cosine(step / 4)
        _descend(adam, other, 1)
    assert torch.equal(x, other)
