"""Tiles give the gradient of the whole; statistics are what they are said to be."""

from collections.abc import Callable
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor

from lanterna.averaged import AveragedAdam
from lanterna.errors import InputError
from lanterna.histograms import histogram_distance
from lanterna.moments import DISTANCES, Moments, gram, gram_distance, scrambled, wasserstein_distance
from lanterna.networks.adapt import Padding, Pooling, adapted
from lanterna.priors import total_variation
from lanterna.summaries import (
    Term,
    TiledTerms,
    Tiling,
    as_objective,
    content_term,
    histogram_term,
    in_passing,
    self_similarity_term,
    style_term,
)
from lanterna.techniques.style_targets import features_of, moments_of
from lanterna.tiles import reach_of

# Maps this small are slower in two threads.
pytestmark = pytest.mark.usefixtures("one_thread")


LAYERS = ["relu1_1", "relu2_1", "relu3_1"]
NETWORK = adapted(tiny.make_vgg())


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def tiling(side: int = 64) -> Tiling:
    return Tiling(reach_of([NETWORK.layer(name) for name in [*LAYERS, "relu3_2"]]), side)


def terms_of(kind: str, size: tuple[int, int]) -> list[Term]:
    style = NETWORK.capture(noise(1, 3, 61, 53, seed=1) ** 2, LAYERS)
    if kind == "content":
        found = NETWORK.capture(noise(1, 3, *size, seed=2), ["relu2_1", "relu3_2"])
        return [content_term(layer, features) for layer, features in found.items()]
    if kind == "self_similarity":
        found = NETWORK.capture(noise(1, 3, *size, seed=2), ["relu3_1"])
        return [self_similarity_term("relu3_1", found["relu3_1"], positions=64)]
    guides: dict[str, Tensor] = {}
    if kind == "guided":
        maps = NETWORK.capture(noise(1, 3, *size), LAYERS)
        guides = {layer: noise(*features.shape[2:], seed=3) for layer, features in maps.items()}
    distance = DISTANCES["gram" if kind == "guided" else kind]
    return [
        style_term(layer, Moments.of(features), distance, weight=0.5, guide=guides.get(layer))
        for layer, features in style.items()
    ]


@pytest.mark.parametrize("size", [(97, 83), (64, 101)])
@pytest.mark.parametrize("kind", [*DISTANCES, "guided", "content", "self_similarity"])
def test_the_gradient_in_tiles_is_that_of_the_whole(kind: str, size: tuple[int, int]) -> None:
    terms = terms_of(kind, size)
    priors = [(0.1, total_variation(2))]
    objective = as_objective(terms, priors)
    layers = sorted({term.layer for term in terms})
    picture = noise(1, 3, *size, seed=9).requires_grad_()
    with NETWORK.reading(layers, in_passing(terms)) as totals, NETWORK.reading(layers) as read:
        value = objective({**totals(picture), "picture": picture})
        (whole,) = torch.autograd.grad(value.sum(), picture)
        pieces = TiledTerms(terms, tiling(), priors)
        assert len(tiling().tiles(size)) >= 6
        tiled_value, tiled = pieces(picture, read, objective, torch.Generator())
    assert whole.norm() > 0
    assert (tiled - whole).norm() / whole.norm() < 1e-4
    torch.testing.assert_close(tiled_value, value.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "padding"), [("max", "replicate"), ("avg", "replicate"), ("max", "first"), ("max", "zeros")]
)
def test_statistics_and_maps_in_tiles_are_those_of_the_whole(pooling: Pooling, padding: Padding) -> None:
    network = adapted(tiny.make_vgg(), pooling=pooling, padding=padding)
    picture = noise(1, 3, 91, 67)
    whole = network.capture(picture, LAYERS)
    for layer, features in features_of(network, picture, LAYERS, tiling()).items():
        torch.testing.assert_close(features, whole[layer], rtol=1e-4, atol=1e-5)
    for layer, moments in moments_of(network, picture, LAYERS, tiling()).items():
        torch.testing.assert_close(moments.second, Moments.of(whole[layer]).second, rtol=1e-4, atol=1e-3)


def test_what_can_not_be_had_in_tiles_says_so() -> None:
    with pytest.raises(InputError, match=r"histogram.*tiles"):
        TiledTerms([histogram_term("relu1_1", noise(9, 6))], tiling())
    with pytest.raises(InputError, match="too small"):
        tiling(16)


def test_moments_by_hand() -> None:
    features = torch.tensor([[[[1.0, 3.0]], [[2.0, 4.0]]]])
    found = Moments.of(features)
    assert found.mean.tolist() == [2.0, 3.0]
    assert found.raw.tolist() == [[5.0, 7.0], [7.0, 10.0]]
    assert found.covariance.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert gram(found, "all").tolist() == [[2.5, 3.5], [3.5, 5.0]]
    assert gram(found, "gatys").tolist() == [[10.0, 14.0], [14.0, 20.0]]
    weighted = Moments.of(features, torch.tensor([[1.0, 0.0]]))
    assert weighted.mean.tolist() == [1.0, 2.0]


def test_gatys_loss_by_hand() -> None:
    found, target = Moments.of(noise(1, 2, 3, 4)), Moments.of(noise(1, 2, 3, 4, seed=1))
    expected = (found.second - target.second).square().sum() / (4 * 12**2 * 2**2)
    torch.testing.assert_close(gram_distance(found, target, "gatys"), expected)


@pytest.mark.parametrize("name", DISTANCES)
def test_a_distance_is_zero_for_the_same_and_positive_for_others(name: str) -> None:
    here, there = Moments.of(noise(1, 5, 20, 20)), Moments.of(noise(1, 5, 20, 20, seed=1) ** 3)
    assert abs(float(DISTANCES[name](here, here))) < 1e-5
    assert float(DISTANCES[name](here, there)) > 1e-3


def test_wasserstein_of_diagonal_gaussians_has_a_closed_form() -> None:
    here = noise(1, 1, 40, 40) * 2
    there = noise(1, 1, 40, 40, seed=1) + 3
    found, target = Moments.of(here), Moments.of(there)
    expected = (here.mean() - there.mean()) ** 2 + (here.std(correction=0) - there.std(correction=0)) ** 2
    torch.testing.assert_close(wasserstein_distance(found, target) * target.energy, expected, rtol=1e-3, atol=1e-4)


def test_the_gradient_of_wasserstein_is_that_of_its_values() -> None:
    features = noise(1, 4, 6, 6).double().requires_grad_()
    target = Moments.of(noise(1, 4, 6, 6, seed=1).double())
    assert torch.autograd.gradcheck(lambda given: wasserstein_distance(Moments.of(given), target), features)


def test_wasserstein_pulls_at_directions_that_vary_little() -> None:
    def moments(*deviations: float) -> Moments:
        return Moments(torch.tensor(1.0), torch.zeros(2), torch.tensor(deviations).square().diag())

    found, target = moments(1.0, 0.005), moments(1.0, 0.01)
    found.second.requires_grad_()
    (slope,) = torch.autograd.grad(wasserstein_distance(found, target) * target.energy, found.second)
    # Of (s - s')^2 with respect to s^2: 1 - s' / s.
    torch.testing.assert_close(slope.diagonal(), torch.tensor([0.0, -1.0]), rtol=1e-3, atol=1e-3)


def test_wasserstein_of_a_constant_style() -> None:
    features = noise(1, 4, 5, 5).requires_grad_()
    distance = wasserstein_distance(Moments.of(features), Moments.of(torch.full((1, 4, 5, 5), 3.0)))
    (slope,) = torch.autograd.grad(distance, features)
    assert float(distance.detach()) > 0 and bool(torch.isfinite(slope).all())
    here = Moments.of(torch.full((1, 4, 5, 5), 3.0))
    assert float(wasserstein_distance(here, here)) == 0


def test_weights_mean_the_same_for_features_of_any_scale() -> None:
    here, there = noise(1, 4, 9, 9), noise(1, 4, 9, 9, seed=1)
    for name, distance in DISTANCES.items():
        near = float(distance(Moments.of(here), Moments.of(there)))
        far = float(distance(Moments.of(100 * here), Moments.of(100 * there)))
        assert near == pytest.approx(far, rel=1e-3), name


def test_a_scramble_keeps_each_map_and_loses_what_goes_together() -> None:
    rows = noise(1, 6, 12, 12)
    rows[:, 1] = rows[:, 0] + 0.01 * rows[:, 2]
    target = Moments.of(rows)
    other = scrambled(target, torch.Generator().manual_seed(0))
    torch.testing.assert_close(other.mean, target.mean)
    torch.testing.assert_close(other.variance, target.variance, rtol=1e-3, atol=1e-5)
    assert float(gram_distance(other, target)) > 1e-4
    with pytest.raises(InputError, match="one channel"):
        scrambled(Moments.of(noise(1, 1, 3, 3)), torch.Generator())


def test_a_histogram_has_no_order() -> None:
    rows = noise(50, 3)
    assert float(histogram_distance(rows, rows[torch.randperm(50, generator=torch.Generator().manual_seed(1))])) < 1e-10
    assert float(histogram_distance(rows, rows + 1)) > 0.1


def test_the_average_is_calm_and_a_state_goes_on_where_it_was() -> None:
    def steps(tuner: AveragedAdam, count: int) -> None:
        for _ in range(count):
            tuner.picture.grad = (tuner.picture.detach() - 0.3).sign()
            tuner.step()

    start = torch.full((1, 3, 4, 4), 0.9)
    whole = AveragedAdam([start.clone().requires_grad_()], 0.05)
    steps(whole, 30)
    half = AveragedAdam([start.clone().requires_grad_()], 0.05)
    steps(half, 12)
    rest = AveragedAdam([half.picture.detach().clone().requires_grad_()], 0.05, carried=half.snapshot())
    steps(rest, 18)
    assert torch.equal(rest.picture, whole.picture)
    torch.testing.assert_close(rest.average, whole.average)
    assert rest.carry((8, 6))["exp_avg_sq"].shape == (1, 3, 8, 6)
    assert 0 <= float(whole.average.min()) <= float(whole.average.max()) <= 1


def test_the_gradient_of_a_layer_comes_when_its_turn_does() -> None:
    turns: list[str] = []

    class Noted(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, features: Tensor, name: str) -> Tensor:
            ctx.name, ctx.shape = name, features.shape
            return features.sum()

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
            turns.append(ctx.name)
            return grads[0].expand(ctx.shape), None

    def between(features: Tensor) -> Tensor:
        features.register_hook(lambda _gradient: turns.append("relu2_1"))
        return features

    layers = ["relu1_1", "relu2_1", "relu3_1"]
    passing: dict[str, Callable[[Tensor], Tensor]] = {
        "relu1_1": lambda features: Noted.apply(features, "relu1_1"),
        "relu2_1": between,
        "relu3_1": lambda features: Noted.apply(features, "relu3_1"),
    }
    picture = noise(1, 3, 32, 32).requires_grad_()
    with NETWORK.reading(layers, passing) as read:
        found = read(picture)
        (found["relu1_1"] + found["relu3_1"]).backward()
    assert turns == ["relu3_1", "relu2_1", "relu1_1"]
