"""Momentum with a stride that is given."""

import pytest
import torch
from torch import Tensor

from lanterna.momentum import NormalizedMomentum


def _step(tuner: NormalizedMomentum, x: Tensor, scale: float) -> None:
    def closure() -> Tensor:
        tuner.zero_grad()
        values = scale * (x - 0.4).square().flatten(1).sum(1)
        values.sum().backward()
        return values.detach()

    tuner.step(closure)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_no_step_is_longer_than_the_stride_however_steep_it_is(scale: float) -> None:
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    tuner = NormalizedMomentum([x], lr=0.1)
    for _ in range(30):
        before = x.detach().clone()
        _step(tuner, x, scale)
        moved = (x.detach() - before).square().flatten(1).mean(1).sqrt()
        assert (moved > 0).all() and (moved < 0.1 + 1e-5).all()
    assert (x.detach() - 0.4).abs().max() < 0.4


def test_pictures_stay_within_their_range() -> None:
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    tuner = NormalizedMomentum([x], lr=2.0)
    for _ in range(5):
        _step(tuner, x, 1.0)
        assert x.detach().min() >= 0 and x.detach().max() <= 1


def test_pictures_of_a_batch_do_not_depend_on_each_other() -> None:
    begin = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    both, alone = begin.clone().requires_grad_(True), begin[:1].clone().requires_grad_(True)
    tuners = NormalizedMomentum([both], lr=0.1), NormalizedMomentum([alone], lr=0.1)
    for _ in range(5):
        _step(tuners[0], both, 1.0)
        _step(tuners[1], alone, 1.0)
    assert torch.allclose(both[:1], alone, atol=1e-6)


def test_without_a_gradient_nothing_moves_and_nothing_is_nan() -> None:
    x = torch.full((1, 3, 4, 4), 0.4).requires_grad_(True)
    _step(NormalizedMomentum([x], lr=0.1), x, 1.0)
    assert torch.equal(x.detach(), torch.full((1, 3, 4, 4), 0.4))


def test_mixed_colours_decide_the_direction_and_not_the_length() -> None:
    generator = torch.Generator().manual_seed(0)
    begin = (0.3 + 0.4 * torch.rand(1, 3, 4, 4, generator=generator)).requires_grad_(True)
    moved = []
    for colours in (None, torch.diag(torch.tensor([1.0, 1e-3, 1e-3]))):
        x = begin.detach().clone().requires_grad_(True)
        _step(NormalizedMomentum([x], lr=0.1, momentum=0.0, colours=colours), x, 1.0)
        moved.append(x.detach() - begin.detach())
    plain, red = moved
    assert float(plain.square().mean()) == pytest.approx(float(red.square().mean()), rel=1e-4)
    assert float(red[:, 1:].abs().max()) < 0.01 * float(red[:, 0].abs().max())
    assert float(plain[:, 1:].abs().max()) > 0.1 * float(plain[:, 0].abs().max())
