"""What inversion takes from photographs in general where a layer sees the whole picture."""

import pytest
import tiny
import torch
from torch import Tensor

from lanterna import pictures
from lanterna.objectives import PICTURE
from lanterna.techniques.invert import InvertRecipe, run
from lanterna.techniques.invert_natural import moments, natural_moments, relative_variation

SIZE = (32, 32)
NETWORK = tiny.network()


def _cost(picture: Tensor, channels: int = 3) -> float:
    return float(moments(*natural_moments(SIZE, channels))({PICTURE: picture}))


def _noise(deviation: float) -> Tensor:
    return 0.4 + deviation * torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def test_even_and_pale_pictures_cost_and_photographs_hardly_do() -> None:
    even = natural_moments(SIZE, 3)[0].view(1, 3, 1, 1).expand(1, 3, *SIZE)
    assert _cost(even) == pytest.approx(3, abs=1e-3)
    photograph = pictures.load("coffee", size=SIZE)
    assert _cost(0.1 * photograph + 0.9 * even) > 2


def test_a_picture_with_the_moments_costs_nothing() -> None:
    mean, covariance = natural_moments(SIZE, 3)
    noise = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0)).double()
    flat = noise.flatten(2)[0]
    flat = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(flat, correction=0)), flat, upper=False)
    flat -= flat.mean(1, keepdim=True)
    made = torch.linalg.cholesky(covariance.double()) @ flat + mean.double()[:, None]
    assert _cost(made.view(1, 3, *SIZE)) < 1e-3


def test_variation_is_measured_at_any_contrast() -> None:
    prior = relative_variation()
    faint, strong = (float(prior({PICTURE: _noise(deviation)})) for deviation in (0.05, 0.2))
    assert faint == pytest.approx(strong, rel=1e-3)


@pytest.mark.parametrize("prior", ["tv", "fourier"])
@pytest.mark.parametrize("channels", [1, 3])
def test_layers_that_see_the_whole_picture_give_contrast_without_losing_features(prior: str, channels: int) -> None:
    network = tiny.network(channels)
    recipe = InvertRecipe.model_validate(
        {"layers": ("head",), "picture": "coffee", "samples": 1, "steps": 40, "prior": prior, "judge": "none"}
    )
    made = run(recipe, network)
    (deep,) = made.recreations
    natural = float(natural_moments(SIZE, 1)[1]) ** 0.5
    assert float(deep.pictures.std()) > 0.5 * natural
    assert deep.feature_error[0] < 0.05
    # Of the very picture that is shown.
    shown = deep.pictures if channels == 3 else deep.pictures[:, :1]
    original = made.original if channels == 3 else made.original[:, :1]
    wanted = network.capture(original, ["head"])["head"]
    error = (network.capture(shown, ["head"])["head"] - wanted).square().sum() / wanted.square().sum()
    assert deep.feature_error[0] == pytest.approx(float(error), rel=1e-3, abs=1e-6)
