"""What inversion knows of pictures beforehand."""

import pytest
import torch
from torch import Tensor

from lanterna.objectives import PICTURE, PROGRESS
from lanterna.techniques.invert_even import EvenParts
from lanterna.techniques.invert_prior import PriorName, blindness, even_prior, prior_of

CHECKS = ((torch.arange(16)[:, None] + torch.arange(16)) % 2 - 0.5).expand(1, 1, 16, 16)
GREY_CHECKS = 0.5 + 0.2 * CHECKS.expand(1, 3, 16, 16)
# As far from grey in every value, but red rises where green and blue fall.
COLOUR_CHECKS = 0.5 + 0.2 * CHECKS * torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)


def cost(
    picture: Tensor, *, sees: int, name: PriorName = "tv", progress: float = 0.0, weight: float = 1.0, told: float = 1.0
) -> float:
    prior = prior_of(name, weight, sees / 96, told, blindness((sees, sees)), picture.shape[1])
    return float(prior({PICTURE: picture, PROGRESS: torch.tensor(progress)}))


def test_only_deep_layers_are_blind_to_colours() -> None:
    assert blindness((3, 3)) < 0.01 and blindness((64, 32)) == blindness((900, 900)) == blindness(None) == 1.0
    assert cost(COLOUR_CHECKS, sees=3) == pytest.approx(cost(GREY_CHECKS, sees=3), rel=0.02)
    assert cost(COLOUR_CHECKS, sees=200) > 2 * cost(GREY_CHECKS, sees=200)


@pytest.mark.parametrize("name", ["tv", "fourier", "alpha"])
def test_it_fades_and_is_weighed(name: PriorName) -> None:
    first, last = (cost(GREY_CHECKS, sees=40, name=name, progress=progress) for progress in (0.0, 1.0))
    assert first > 2 * last > 0
    assert cost(GREY_CHECKS, sees=40, name=name, weight=3.0) == pytest.approx(3 * first, rel=1e-4)


def test_deeper_layers_get_more_of_it() -> None:
    costs = [cost(GREY_CHECKS, sees=sees, progress=1.0) for sees in (3, 14, 40, 92, 196)]
    assert costs == sorted(costs) and costs[-1] > 10 * costs[1]


def test_grey_networks_have_no_colours_to_mix() -> None:
    assert cost(GREY_CHECKS[:, :1], sees=200) == pytest.approx(cost(GREY_CHECKS, sees=200), rel=5e-3)


def test_layers_with_many_numbers_end_with_less_and_those_with_few_begin_with_less_too() -> None:
    begun, ended = (
        {told: cost(GREY_CHECKS, sees=40, progress=at, told=told) for told in (0.1, 1.0, 10.0)} for at in (0.0, 1.0)
    )
    assert begun[0.1] < 0.5 * begun[1.0] == pytest.approx(0.5 * begun[10.0])
    assert ended[0.1] < 0.5 * ended[1.0] and ended[10.0] < 0.5 * ended[1.0]


def test_even_parts_hold_what_neither_tells_colours_nor_sees_the_whole() -> None:
    parts = EvenParts(torch.zeros_like(GREY_CHECKS), torch.ones_like(CHECKS))

    def held(sees: int, progress: float) -> float:
        prior = even_prior(parts, 1.0, sees / 96, blindness((sees, sees)))
        return float(prior({PICTURE: GREY_CHECKS, PROGRESS: torch.tensor(progress)}))

    for progress in (0.0, 1.0):
        assert held(14, progress) < 0.3 * held(40, progress) and held(92, progress) < 0.3 * held(40, progress)
    assert held(40, 1.0) < 0.1 * held(40, 0.0)
