"""Priors: each penalises what it names, picture by picture, by its formula."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from lanterna import priors
from lanterna.objectives import PICTURE, Objective, channel

PICTURES = torch.rand((3, 3, 9, 12), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
X = PICTURES.numpy()
DX, DY = X[..., :-1, 1:] - X[..., :-1, :-1], X[..., 1:, :-1] - X[..., :-1, :-1]
AROUND = (X[..., :-2, 1:-1] + X[..., 2:, 1:-1] + X[..., 1:-1, :-2] + X[..., 1:-1, 2:]) / 4
AXES = (1, 2, 3)

CASES = {
    "tv 1": (priors.total_variation(), np.sqrt(DX**2 + DY**2).mean(AXES)),
    "tv 2": (priors.total_variation(2.0), (DX**2 + DY**2).mean(AXES)),
    "alpha 6": (priors.alpha_norm(), (abs(X - 0.5) ** 6).mean(AXES)),
    "alpha 3": (priors.alpha_norm(3.0), (abs(X - 0.5) ** 3).mean(AXES)),
    "l1": (priors.l1(), abs(X - 0.5).mean(AXES)),
    "l2": (priors.l2(), ((X - 0.5) ** 2).mean(AXES)),
    "high frequency": (priors.high_frequency(), ((X[..., 1:-1, 1:-1] - AROUND) ** 2).mean(AXES)),
}


@pytest.mark.parametrize("name", CASES)
def test_formula(name: str) -> None:
    prior, expected = CASES[name]
    assert prior.layers == {PICTURE}
    np.testing.assert_allclose(prior({PICTURE: PICTURES}).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_grey_costs_nothing_and_has_a_finite_slope(name: str) -> None:
    grey = torch.full((2, 3, 8, 8), 0.5, requires_grad=True)
    values = CASES[name][0]({PICTURE: grey})
    values.sum().backward()
    assert float(values.detach().abs().max()) < 2e-4
    assert grey.grad is not None and not grey.grad.any()


def _ramp() -> Tensor:
    return torch.linspace(0, 1, 16).expand(1, 3, 16, 16)


def _checks() -> Tensor:
    return ((torch.arange(16)[:, None] + torch.arange(16)) % 2).float().expand(1, 3, 16, 16)


@pytest.mark.parametrize(
    ("prior", "worse", "better"),
    [
        (priors.total_variation(), _checks, _ramp),
        (priors.high_frequency(), _checks, _ramp),
        (priors.l1(), _checks, lambda: _ramp() / 2 + 0.25),
        (priors.alpha_norm(), _checks, _ramp),
    ],
    ids=["tv", "high frequency", "l1", "alpha"],
)
def test_order(prior: Objective, worse: Callable[[], Tensor], better: Callable[[], Tensor]) -> None:
    assert float(prior({PICTURE: worse()})) > 2 * float(prior({PICTURE: better()}))


def test_mixed_colours_weigh_by_direction() -> None:
    planes = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]) / 3
    smooth = priors.mixed(priors.total_variation(2.0), planes)
    assert smooth.layers == {PICTURE}
    grey = PICTURES.mean(1)
    dx, dy = grey[:, :-1, 1:] - grey[:, :-1, :-1], grey[:, 1:, :-1] - grey[:, :-1, :-1]
    torch.testing.assert_close(smooth({PICTURE: PICTURES}), (dx**2 + dy**2).mean((1, 2)) / 3, rtol=1e-4, atol=1e-7)


def test_high_frequency_ignores_slopes() -> None:
    assert float(priors.high_frequency()({PICTURE: _ramp()})) < 1e-12


def test_priors_join_the_algebra() -> None:
    objective = channel("conv", 0) - 0.1 * priors.l2()
    assert objective.layers == {"conv", PICTURE}
    features = {"conv": torch.ones(3, 2, 4, 4).double(), PICTURE: PICTURES}
    np.testing.assert_allclose(objective(features).numpy(), 1 - 0.1 * CASES["l2"][1])


@pytest.mark.parametrize("size", [(3, 3), (5, 9), (12, 7)])
def test_the_gradient_of_high_frequency_is_the_true_one(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand((2, 3, *size), generator=generator, dtype=torch.float64).requires_grad_(True)
    prior = priors.high_frequency()
    assert torch.autograd.gradcheck(lambda given: prior({PICTURE: given}), pictures)
