"""Networks that see light and dark alone: what is made for them has no colour of its own."""

import pytest
import tiny
import torch

from lanterna import Network
from lanterna.patterns.projection import project
from lanterna.pictures import load
from lanterna.pictures.colour import luminance
from lanterna.techniques.dream import DreamRecipe
from lanterna.techniques.dream import run as dream
from lanterna.techniques.fool import FoolRecipe, run
from lanterna.techniques.invert import InvertRecipe
from lanterna.techniques.invert import run as invert
from lanterna.techniques.visualize import VisualizeRecipe
from lanterna.techniques.visualize import run as visualize


@pytest.fixture
def grey() -> Network:
    return tiny.network(1)


def _colour(picture: torch.Tensor) -> float:
    return float((picture.amax(1) - picture.amin(1)).max())


def test_a_dream_from_noise_is_grey(grey: Network) -> None:
    made = dream(DreamRecipe(picture="noise", layers=("act2",), size="32", octaves=1, steps=4, shift=2), grey)
    assert _colour(made.picture) == 0
    assert float((made.picture - made.start).abs().max()) > 0


def test_a_dream_of_a_photograph_keeps_its_colours(grey: Network) -> None:
    made = dream(DreamRecipe(picture="coffee", layers=("act2",), size="32", octaves=1, steps=1, shift=2, restrain=0), grey)
    change = made.picture - made.start
    # Steps are smaller towards black and white, in each channel by itself; their direction is one.
    assert float(change.abs().max()) > 2 / 255
    assert bool(((change > 1.5 / 255).any(1) & (change < -1.5 / 255).any(1)).logical_not().all())


def test_a_picture_that_fools_is_grey(grey: Network) -> None:
    made = run(FoolRecipe(picture="coffee", epsilon="64/255", second="none", steps=8), grey)
    assert all(one.shape == (1, 3, 32, 32) and _colour(one) == 0 for one in (made.picture, made.result, made.noise))


def test_a_photograph_is_as_light_as_the_network_sees_it(grey: Network) -> None:
    seen = luminance(load("coffee", size=(32, 32)))
    inverted = invert(InvertRecipe(layers=("act1",), picture="coffee", samples=1, steps=0, judge="none"), grey)
    assert torch.allclose(inverted.original[:, :1], seen, atol=1e-6)
    begun = visualize(VisualizeRecipe(units=("conv1:0",), start="coffee", size="32", steps=0), grey)
    assert torch.allclose(begun.pictures[:, :1], seen, atol=1 / 255)


def test_a_projection_is_grey(grey: Network) -> None:
    picture = load("coffee", size=(32, 32))
    loudest = int(grey.capture(picture, ["act2"])["act2"][0, :, 8, 8].argmax())
    pattern = project(grey, picture, "act2", loudest, torch.tensor([8]), torch.tensor([8])).pattern
    assert pattern.shape == (1, 1, 32, 32) and float(pattern.abs().max()) > 0


def test_a_large_difference_is_enlarged_less(grey: Network) -> None:
    small, large = (
        run(FoolRecipe(picture="coffee", epsilon=size, second="none", steps=2), grey) for size in ("2/255", "64/255")
    )
    assert small.times == 20 and 1 <= large.times < 4
    inside = (large.difference > 0) & (large.difference < 1)
    assert float(inside.float().mean()) > 0.9
