"""What units of the first layers want, in closed form."""

from collections import OrderedDict

import pytest
import tiny
import torch
from torch import Tensor, nn

from lanterna import Network, Preprocessing, VisualizeRecipe
from lanterna.techniques.filters import enlarged, exact_units
from lanterna.techniques.units import parse_units
from lanterna.techniques.visualize import run

SIZE = (32, 32)
NETWORK = tiny.network()


def _normalised(after: nn.Module) -> Network:
    """A convolution of stride 2, a normalisation that has seen pictures, and `after`."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        norm = nn.BatchNorm2d(6)
        norm.running_mean, norm.running_var = torch.randn(6), torch.rand(6) + 0.5
        layers = OrderedDict(conv=nn.Conv2d(3, 6, 3, stride=2, padding=1), norm=norm, after=after)
        layers["next"] = nn.Conv2d(6, 4, 3, padding=1)
        return Network.wrap(nn.Sequential(layers), name="normed", preprocessing=Preprocessing(std=(0.25,), size=SIZE))


def _weights(network: Network, layer: str) -> Tensor:
    return network.module.get_submodule(layer).weight


def test_a_convolution_wants_the_signs_of_its_weights() -> None:
    found = exact_units(NETWORK, parse_units(("conv1:0-3",), NETWORK), SIZE)
    for i, one in enumerate(found):
        assert one is not None
        weights = _weights(NETWORK, "conv1")[i]
        assert torch.equal(one.patch[0], (weights > 0).float())
        # The filter itself, up to a positive factor.
        assert torch.nn.functional.cosine_similarity(one.weights.flatten(), weights.flatten(), dim=0) > 1 - 1e-5


@pytest.mark.parametrize("after", [nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.1), nn.Tanh()])
def test_no_picture_exceeds_it_also_behind_a_normalisation_and_a_rising_nonlinearity(after: nn.Module) -> None:
    network = _normalised(after)
    for layer in ("norm", "after"):
        units = parse_units((f"{layer}:0-5",), network)
        found = exact_units(network, units, SIZE)
        pictures = torch.rand(64, 3, *SIZE, generator=torch.Generator().manual_seed(1))
        highest = network.capture(pictures, [layer])[layer].amax((0, 2, 3))
        for unit, one in zip(units, found, strict=True):
            assert one is not None and one.sample is not None
            assert one.activation >= max(float(highest[unit.channel]), one.sample, one.start) - 1e-4


def test_the_least_is_the_negative() -> None:
    units = parse_units(("conv1:0",), NETWORK)
    (most,), (least,) = (exact_units(NETWORK, units, SIZE, minimize=minimize) for minimize in (False, True))
    assert most is not None and least is not None and most.sample is not None and least.sample is not None
    assert torch.equal(least.patch, 1 - most.patch) and least.activation < least.sample < most.sample < most.activation


@pytest.mark.parametrize("unit", ["conv2:0", "act2:1", "logits:2"])
def test_what_does_more_than_weigh_pixels_is_left_to_ascent(unit: str) -> None:
    assert exact_units(NETWORK, parse_units((unit,), NETWORK), (64, 64)) == [None]


def test_a_unit_without_weights_is_left_to_ascent_which_calls_it_dead() -> None:
    network = tiny.network(dead=True)
    dead, live = exact_units(network, parse_units(("act1:2", "act1:3"), network), SIZE)
    assert dead is None and live is not None


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_visualize_gives_filter_and_answer_without_a_step(channels: int) -> None:
    network = tiny.network(channels)
    made = run(VisualizeRecipe(units=("conv1:0-2",)), network)
    assert made.exact == (True, True, True) and made.steps == 0
    assert set(made.pictures.unique().tolist()) <= {0.0, 0.5, 1.0}
    assert all(end > start for end, start in zip(made.activation, made.start_activation, strict=True))
    if channels == 3:
        # Filter and answer of each.
        assert made.sheet().shape[3] > 5 * 32


def test_exact_units_stand_beside_those_that_are_climbed() -> None:
    made = run(VisualizeRecipe(units=("conv2:1", "conv1:1"), steps=4), NETWORK)
    alone = run(VisualizeRecipe(units=("conv1:1",)), NETWORK)
    assert made.exact == (False, True) and made.steps == 4
    assert torch.equal(made.pictures[1], alone.pictures[0]) and made.activation[1] == alone.activation[0]


@pytest.mark.parametrize("fields", [{"canvas": "pixels"}, {"start": "coffee"}, {"diversity": 2}, {"steps": 0}])
def test_who_asks_for_more_gets_ascent(fields: dict[str, object]) -> None:
    recipe = VisualizeRecipe.model_validate({"units": ("conv1:0",), "steps": 2, **fields})
    assert not any(run(recipe, NETWORK).exact)


@pytest.mark.parametrize("size", [(32, 32), (33, 20), (20, 45)])
def test_the_patch_fills_the_picture_by_a_whole_factor(size: tuple[int, int]) -> None:
    patch = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(2))
    large = enlarged(patch, size)
    assert large.shape[2:] == size
    # Nothing between two pixels: no more values than the patch has, and grey beside it.
    assert len(large[0, 0].unique()) <= 26
    if size[0] == size[1]:
        assert not bool((large == 0.5).any())
