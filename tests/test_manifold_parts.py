"""The parts of `manifold` on what can be checked by hand: measures, stimuli, distances, the pixel code."""

import math

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from lanterna.manifold import measures, sets, stimuli, wall
from lanterna.manifold.densities import LATENT, Densities
from lanterna.manifold.pixel_code import PixelCode
from lanterna.manifold.robustness import between, least_distance, random_search, settled
from lanterna.manifold.training import initialise


@pytest.fixture
def chance() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_auroc_is_that_of_scikit_learn(chance: torch.Generator) -> None:
    inside = torch.randint(0, 9, (50,), generator=chance).float() + 2
    outside = torch.randint(0, 9, (70,), generator=chance).float()
    expected = roc_auc_score([1] * 50 + [0] * 70, torch.cat([inside, outside]).numpy())
    assert measures.auroc(inside, outside) == pytest.approx(expected)
    assert measures.auroc(torch.ones(3), torch.ones(4)) == 0.5


def test_the_temperature_undoes_a_factor(chance: torch.Generator) -> None:
    logits = 2 * torch.randn(4000, 4, generator=chance)
    labels = torch.distributions.Categorical(logits=logits)
    drawn = torch.multinomial(labels.probs, 1, generator=chance)[:, 0]
    assert measures.fitted_temperature(7 * logits, drawn) == pytest.approx(7, rel=0.15)
    assert measures.calibration_error(logits.softmax(1), drawn) < 0.03
    assert measures.calibration_error((7 * logits).softmax(1), drawn) > 0.1


def test_over_seeds_has_the_spread_and_no_infinity() -> None:
    found = measures.over_seeds([{"a": {"b": 1.0}, "c": math.inf}, {"a": {"b": 4.0}, "c": 2.0}, {"a": {"b": 1.0}, "c": None}])
    assert found["a"]["b"] == {"mean": 2.0, "low": 1.0, "high": 4.0, "seeds": [1.0, 4.0, 1.0]}
    assert found["c"] == {"mean": None, "low": 2.0, "high": None, "seeds": [None, 2.0, None]}


def test_the_pixel_code_is_a_distribution_over_256_levels(chance: torch.Generator) -> None:
    code = PixelCode()
    code.weights.copy_(torch.rand(code.weights.shape, generator=chance).softmax(1))
    levels = torch.arange(256.0)[:, None] / 255
    for expected in (0.0, 0.001, 0.3, 0.77, 1.0):
        bits = code(levels, torch.full((256, 1), expected))
        assert float((2**-bits).sum()) == pytest.approx(1, abs=1e-3)


def test_fitting_the_pixel_code_saves_bits(chance: torch.Generator) -> None:
    expected = torch.rand(50, 40, generator=chance)
    pixels = (expected + 0.02 * torch.randn(50, 40, generator=chance)).clamp(0, 1)
    code = PixelCode()
    before = float(code(pixels, expected).mean())
    code.fit(pixels, expected)
    assert float(code(pixels, expected).mean()) < before - 20


def test_glyphs_are_white_on_black_and_differ(chance: torch.Generator) -> None:
    letters = stimuli.glyphs(stimuli.LETTERS, 40, chance, fill=True)
    assert letters.shape == (40, 1, 28, 28) and float(letters.min()) >= 0 and float(letters.max()) <= 1
    assert bool((letters.flatten(1).amax(1) > 0.8).all()) and bool((letters[:, :, 0].amax(2) == 0).all())
    assert len({letter.numpy().tobytes() for letter in letters}) > 25
    marks = stimuli.glyphs(stimuli.MARKS, 40, chance, fill=False)
    assert float(marks.mean()) < float(letters.mean()) / 2


def test_scrambling_and_shuffling_keep_what_they_say(chance: torch.Generator) -> None:
    pictures = 0.4 + 0.2 * torch.rand(5, 1, 28, 28, generator=chance)
    scrambled = stimuli.phase_scrambled(pictures, chance)
    magnitudes = [torch.fft.rfft2(one).abs() for one in (pictures, scrambled)]
    torch.testing.assert_close(*magnitudes, rtol=1e-3, atol=1e-2)
    assert float((scrambled - pictures).abs().mean()) > 0.03
    shuffled = stimuli.pixel_shuffled(pictures, chance)
    assert torch.equal(shuffled.flatten(1).sort(1).values, pictures.flatten(1).sort(1).values)
    assert not torch.equal(shuffled, pictures)


def test_marginal_noise_has_each_pixels_own_values(chance: torch.Generator) -> None:
    pictures = torch.arange(4.0).view(4, 1, 1, 1) / 4 * torch.linspace(0, 1, 784).view(1, 1, 28, 28)
    found = stimuli.marginal_noise(pictures, 30, chance)
    known = pictures.flatten(1).T[:, None] == found.flatten(1).T[:, :, None]
    assert bool(known.any(2).all())


def test_natural_patches_come_from_every_photograph(chance: torch.Generator) -> None:
    patches = stimuli.natural_patches(33, chance)
    assert patches.shape == (33, 1, 28, 28) and float(patches.min()) >= 0 and float(patches.max()) <= 1


def test_the_nearest_real_picture(chance: torch.Generator) -> None:
    real = torch.rand(20, 1, 28, 28, generator=chance)
    distance, place = wall.nearest(real[[7, 3]] + 0.001, real)
    assert place.tolist() == [7, 3]
    torch.testing.assert_close(distance, torch.full((2,), 0.028), rtol=1e-3, atol=1e-4)


def test_the_noise_wall_is_that_of_all_the_noise_and_draws_a_little_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.rand(30, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    labels = torch.zeros(30, dtype=torch.long)
    parts = sets.Split(("a",), real[:20], labels[:20], real[20:], labels[20:], real[20:], labels[20:], {})
    whole = wall.noise_wall(parts, 60, torch.Generator().manual_seed(3), shown=4)
    drawn: list[int] = []

    def recorded(count: int, generator: torch.Generator) -> Tensor:
        drawn.append(count)
        return stimuli.noise(count, generator)

    monkeypatch.setattr(wall, "noise", recorded)
    monkeypatch.setattr(wall, "_AT_ONCE", 25)
    found = wall.noise_wall(parts, 60, torch.Generator().manual_seed(3), shown=4)
    assert drawn == [25, 25, 10]
    for name, one in found.items():
        torch.testing.assert_close(one.distance, whole[name].distance)
        assert torch.equal(one.closest, whole[name].closest) and torch.equal(one.neighbours, whole[name].neighbours)
        torch.testing.assert_close(one.distance.sort().values[:4], wall.nearest(one.closest, real[:20])[0])


def _linear(weights: Tensor) -> nn.Module:
    layer = nn.Linear(784, 2)
    layer.weight.data = torch.stack([weights, -weights]) / 2
    layer.bias.data.zero_()
    return nn.Sequential(nn.Flatten(), layer)


@pytest.fixture
def line(chance: torch.Generator) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """A linear classifier, pictures of which it says 0, and their exact distances to its frontier in L2 and Linf."""
    weights = torch.randn(784, generator=chance)
    weights -= weights.mean()
    pictures = 0.5 + 0.05 * torch.randn(6, 784, generator=chance)
    pictures += 0.01 * weights
    margin = pictures @ weights
    assert bool((margin > 0).all())
    exact = torch.stack([margin / weights.norm(), margin / weights.abs().sum()])
    return _linear(weights), pictures.view(-1, 1, 28, 28), torch.zeros(6, dtype=torch.long), exact


def test_least_distances_are_exact_for_a_line(line: tuple[nn.Module, Tensor, Tensor, Tensor]) -> None:
    network, pictures, labels, exact = line
    for number, (norm, allowed) in enumerate((("l2", 1.03), ("linf", 1.1))):
        distance, found = least_distance(network, pictures, labels, norm, 60)
        assert bool((distance >= exact[number] * 0.999).all()) and bool((distance <= exact[number] * allowed).all())
        assert network(found).argmax(1).tolist() == [1] * 6
        assert float(found.min()) >= 0 and float(found.max()) <= 1


def test_what_is_wrong_already_has_distance_0(line: tuple[nn.Module, Tensor, Tensor, Tensor]) -> None:
    network, pictures, labels, _ = line
    distance, found = least_distance(network, pictures, 1 - labels, "l2", 3)
    assert distance.tolist() == [0.0] * 6 and torch.equal(found, pictures)


def test_settling_goes_as_far_as_needed_and_no_further(line: tuple[nn.Module, Tensor, Tensor, Tensor]) -> None:
    network, pictures, labels, _ = line
    _, found = least_distance(network, pictures, labels, "l2", 60)
    short = pictures + 0.9 * (found - pictures)
    distance, moved, holds = settled(network, pictures, labels, short, "l2")
    assert not bool(holds.any()) and network(moved).argmax(1).tolist() == [1] * 6
    short_of = (short - pictures).flatten(1).norm(dim=1)
    assert bool((distance > 1.04 * short_of).all()) and bool((distance < 1.2 * short_of).all())
    nowhere, *_ = settled(network, pictures, labels, pictures + 0.1 * (found - pictures), "l2")
    assert bool(torch.isinf(nowhere).all())


def test_random_search_finds_nothing_nearer_and_something_farther(chance: torch.Generator) -> None:
    # Bright on the left against bright on the right: what squares can do.
    weights = torch.cat([torch.ones(28, 14), -torch.ones(28, 14)], 1).flatten() / 784
    pictures = torch.full((4, 1, 28, 28), 0.5)
    pictures[..., :14] += 0.05
    network, labels = _linear(weights), torch.zeros(4, dtype=torch.long)
    exact = (pictures.flatten(1) @ weights) / weights.abs().sum()
    near = random_search(network, pictures, labels, 0.9 * exact, "linf", 60, chance)
    far = random_search(network, pictures, labels, 3 * exact, "linf", 60, chance)
    assert not bool(near.any()) and bool(far.all())


def test_the_frontier_between_two_pictures(line: tuple[nn.Module, Tensor, Tensor, Tensor]) -> None:
    network, pictures, labels, exact = line
    others = 1 - pictures
    found = between(network, pictures, labels, others, torch.ones(6, dtype=torch.long))
    assert bool((found >= exact[0] * 0.999).all()) and bool((found < 30).all())
    same = between(network, pictures, labels, pictures + 0.001, torch.ones(6, dtype=torch.long))
    assert bool(torch.isinf(same).all())


@pytest.fixture
def densities(chance: torch.Generator) -> Densities:
    """Three classes with random weights."""
    model = Densities(3)
    initialise(model, chance)
    model.sigma.fill_(0.2)
    model.widths.zero_()
    model.prior.fill_(math.log(1 / 3))
    model.bank.copy_(torch.randn(model.bank.shape, generator=chance))
    return model.requires_grad_(False)


def test_the_slope_of_codes_is_that_of_autograd(densities: Densities, chance: torch.Generator) -> None:
    pixels, codes = torch.rand(5, 784, generator=chance), torch.randn(3, 5, LATENT, generator=chance).requires_grad_()
    (expected,) = torch.autograd.grad(densities.joint(pixels, codes).sum(), codes)
    torch.testing.assert_close(densities._slope(pixels, codes.detach()), expected, rtol=1e-4, atol=1e-3)


def test_codes_climb(densities: Densities, chance: torch.Generator) -> None:
    pixels = torch.rand(5, 784, generator=chance)
    values = [float(densities.joint(pixels, densities.synthesise(pixels, steps)).mean()) for steps in (0, 10, 60)]
    assert values[0] < values[1] < values[2]


def test_gradients_through_the_optimised_codes_are_right(densities: Densities, chance: torch.Generator) -> None:
    """The envelope theorem, against differences of the whole optimisation, run to its end."""
    densities = densities.double()
    picture = torch.rand(1, 1, 28, 28, generator=chance).double()
    asked = picture.clone().requires_grad_()
    (slope,) = torch.autograd.grad(densities(asked, code_steps=400)[0, 1], asked)
    direction = torch.randn(picture.shape, generator=chance).double()
    direction /= direction.norm()
    step = 1e-3
    ahead, behind = (float(densities(picture + sign * step * direction, code_steps=400)[0, 1]) for sign in (1, -1))
    assert float((slope * direction).sum()) == pytest.approx((ahead - behind) / (2 * step), rel=0.02)
